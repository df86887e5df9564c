"""How far campaigns are, noted every few seconds by whoever sweeps: what speed, time left and the plot over time are made of.

There are few samples, however long a campaign goes on or stands still.
"""

from sqlalchemy import text

from app.flow.sessions import AnySession

SAMPLE_SECONDS = 2
"""At most one sample in this time."""
MAX_SAMPLES = 2_000
"""Per campaign; a few more for a moment, before they are thinned to about half of it."""
LATEST_SAMPLES_SECONDS = 300
"""These are not thinned: the speed is made of them."""


def sample(session: AnySession, campaign_id: int) -> bool:
    """Note how far the campaign is. Commits. False where the last note is too fresh for another."""
    return _sample(session, "c.id = :id", {"id": campaign_id}) > 0


def sample_running(session: AnySession) -> int:
    """:func:`sample` for every campaign that sends, or ended a moment ago (its last point), in one statement."""
    return _sample(
        session, "(c.status = 'sending' OR c.finished_at > now() - make_interval(secs => :late))", {"late": 60}
    )


def _sample(session: AnySession, which: str, values: dict[str, int]) -> int:
    """A standstill is two samples, its begin and its end: as long as nothing moves, the second one moves on."""
    noted = session.execute(
        text(
            f"""
            WITH figures AS (
                SELECT c.id, coalesce(sum(b.accepted + b.delivered), 0) AS accepted,
                       coalesce(sum(b.accepted + b.delivered + b.deferred + b.bounced + b.failed), 0) AS answered
                FROM campaign c LEFT JOIN batch b ON b.campaign_id = c.id
                WHERE {which} AND NOT EXISTS (SELECT 1 FROM campaign_sample s WHERE s.campaign_id = c.id
                                              AND s.at > clock_timestamp() - make_interval(secs => :fresh))
                GROUP BY c.id
            ), standing AS (
                SELECT f.id, last.at FROM figures f CROSS JOIN LATERAL (
                    SELECT max(at) AS at, count(*) AS n, bool_and(answered = f.answered AND accepted = f.accepted) AS still
                    FROM (SELECT * FROM campaign_sample WHERE campaign_id = f.id ORDER BY at DESC LIMIT 2) two
                ) last WHERE last.n = 2 AND last.still
            ), moved AS (
                UPDATE campaign_sample s SET at = clock_timestamp() FROM standing l
                WHERE s.campaign_id = l.id AND s.at = l.at RETURNING s.campaign_id
            ), added AS (
                INSERT INTO campaign_sample (campaign_id, at, answered, accepted)
                SELECT id, clock_timestamp(), answered, accepted FROM figures WHERE id NOT IN (SELECT id FROM standing)
                ON CONFLICT DO NOTHING RETURNING campaign_id
            )
            SELECT campaign_id, false AS is_new FROM moved UNION ALL SELECT campaign_id, true FROM added
            """  # noqa: S608  # ``which`` is one of the two conditions above
        ),
        {**values, "fresh": SAMPLE_SECONDS},
    ).all()
    for row in noted:
        if row.is_new:
            _thin_samples(session, row.campaign_id)
    session.commit()
    return len(noted)


def _thin_samples(session: AnySession, campaign_id: int) -> None:
    """A campaign that goes on for days is drawn with no more points than one of an hour. Kept are the first sample, the
    last one of each of equal spans, and the latest minutes, of which the speed is made."""
    session.execute(
        text(
            """
            WITH ends AS (
                SELECT min(at) AS first, max(at) AS last FROM campaign_sample WHERE campaign_id = :id
                HAVING count(*) > :most
            ), kept AS (
                SELECT max(s.at) AS at FROM campaign_sample s, ends WHERE s.campaign_id = :id
                GROUP BY width_bucket(extract(epoch FROM s.at), extract(epoch FROM ends.first),
                                      extract(epoch FROM ends.last) + 0.001, :spans)
            )
            DELETE FROM campaign_sample s USING ends
            WHERE s.campaign_id = :id AND s.at <> ends.first AND s.at < ends.last - make_interval(secs => :latest)
              AND s.at NOT IN (SELECT at FROM kept)
            """
        ),
        {"id": campaign_id, "most": MAX_SAMPLES, "spans": MAX_SAMPLES // 2, "latest": LATEST_SAMPLES_SECONDS},
    )
