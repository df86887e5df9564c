"""A provider that refuses our IP says nothing about the person: no bounce, another try by another IP, or failed and why."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from app.flow import breaker, composing, outcomes, relay_outcomes
from app.flow.batches import ClaimedBatch
from app.flow.not_reached import NOT_REACHED
from app.flow.submission import Answer, AnswerKind
from app.mail.relay_report import Bundle, Seen, Sighting
from app.mail.replies import Stage
from app.web.campaigns.causes import reply_line
from tests import factories
from tests.fixtures.laws import arrange
from tests.relay_street import RelayStreet

NOW = datetime.now(UTC).replace(microsecond=0)

pytestmark = pytest.mark.usefixtures("fresh_now")
SPAMHAUS = "550 5.7.1 Service unavailable; client [192.0.2.1] blocked using Spamhaus"
SAID = f"host mx.test[192.0.2.9] said: {SPAMHAUS} (in reply to RCPT TO command)"
UNKNOWN = "host mx.test[192.0.2.9] said: 550 5.1.1 User unknown (in reply to RCPT TO command)"


@pytest.fixture
def street(session, settings, panel):
    return laid(session, settings, panel)


def laid(session, settings, panel, **values):
    street = RelayStreet.laid(session, settings, panel, **values)
    session.execute(text("UPDATE batch SET provider = 'yahoo'"))
    session.commit()
    return street


def tell(street, *told):
    """``told``: seq, sighting, reply and, where it matters, the IP."""
    seen = tuple(
        Seen(Sighting(sighting), street.token(seq), f"4dDcHs3Vqlz9t{seq:02}", NOW, reply=reply, egress_ip_id=next(iter(ip), None))
        for seq, sighting, reply, *ip in told
    )  # fmt: skip
    key = composing.token_key(street.settings)
    relay_outcomes.store(street.session, street.relay.id, Bundle(seen), token_key=key)


def replies(session):
    rows = session.execute(text("SELECT seq, reply_code, reply_text FROM delivery ORDER BY seq"))
    return {row.seq: reply_line(row.reply_code, row.reply_text) for row in rows}


def test_final_refusal_of_our_ip_fails_with_its_reason_and_is_no_bounce(street, session):
    tell(street, (1, "bounced", SAID), (2, "bounced", UNKNOWN), (3, "sent", "250 ok"))
    assert street.statuses() == {1: "failed", 2: "bounced", 3: "delivered", 4: "accepted"}
    told = replies(session)
    assert told[1].startswith("Bloqueado: el proveedor rechaza nuestra dirección IP") and "Spamhaus" in told[1]
    assert told[2].startswith("550 ") and "User unknown" in told[2]
    street.counted()


def test_who_was_refused_because_of_us_may_be_followed_up_and_who_bounced_not(street, session):
    tell(street, (1, "bounced", SAID), (2, "bounced", UNKNOWN))
    reached = session.scalars(text(f"SELECT seq FROM delivery d WHERE {NOT_REACHED}"))  # a constant
    assert list(reached) == [1]


@pytest.mark.parametrize(
    "line",
    [
        ("sent", "250 ok"),
        ("deferred", "lost connection with mx.test while sending end of data -- message may be sent more than once"),
    ],
)
def test_who_may_have_got_it_from_an_earlier_try_is_not_followed_up(street, session, line):
    tell(street, (1, *line), (1, "bounced", SAID), (2, "bounced", SAID))
    assert street.statuses() == {1: "failed", 2: "failed", 3: "accepted", 4: "accepted"}
    reached = session.scalars(text(f"SELECT seq FROM delivery d WHERE {NOT_REACHED}"))  # a constant
    assert list(reached) == [2]


def test_mail_that_the_relay_gave_up_is_judged_by_its_last_deferral(street):
    later = "host mx.test[192.0.2.9] refused to talk to me: 554 5.7.1 IP address blocked"
    full = "host mx.test[192.0.2.9] said: 452 4.2.2 mailbox full"
    tell(street, (1, "deferred", later), (2, "deferred", full), (3, "deferred", "connection timed out"))
    tell(street, (1, "expired", ""), (2, "expired", ""), (3, "expired", ""))
    assert street.statuses() == {1: "failed", 2: "bounced", 3: "bounced", 4: "accepted"}


@pytest.mark.parametrize(
    "order", list(itertools.permutations([("deferred", ""), ("sent", "250 ok"), ("bounced", SAID)]))
)
def test_every_order_of_the_lines_ends_alike(street, order):
    for line in order:
        tell(street, (1, *line))
    assert street.statuses()[1] == "failed"
    street.counted()


def test_same_refusals_suspend_the_ip_at_that_provider_only(session, settings, panel):
    street = laid(session, settings, panel, recipients=5)
    ip = factories.egress_ip(session, factories.egress_pool(session, street.relay), "192.0.2.1")

    def suspended(provider):
        return breaker.standing(session, street.relay.id, provider, datetime.now(UTC)).suspended_until(ip.id)

    tell(street, *((seq, "bounced", SAID, ip.id) for seq in (1, 2, 3, 4)))
    assert suspended("yahoo") is None, "four are too few"
    tell(street, (5, "bounced", SAID, ip.id))
    assert suspended("yahoo") is not None and suspended("google") is None


def recorded(street, replies, *, attempts=1, begun=timedelta(0), settings=None):
    """What four direct answers of the relay make of the deliveries."""
    session = street.session
    arrange(session)
    session.execute(text("UPDATE batch SET status = 'claimed', claim = 1"))
    facts = {"attempts": attempts, "begun": datetime.now(UTC) - begun}
    session.execute(text("UPDATE delivery SET claim = 1, attempts = :attempts, first_attempt_at = :begun"), facts)
    session.commit()
    batch = ClaimedBatch(*session.execute(text(
        "SELECT id, campaign_id, frozen_on, first_seq, last_seq, provider, claim FROM batch")).one())  # fmt: skip
    chunk = session.execute(text("SELECT seq, attempts, first_attempt_at, egress_ip_id FROM delivery")).all()
    answers = [
        Answer(seq, AnswerKind.REPLIED, int(reply[:3]), reply[4:], Stage.RCPT_TO)
        for seq, reply in enumerate(replies, start=1)
    ]
    outcomes.record(session, settings or street.settings, batch, chunk, answers, relay_id=street.relay.id)
    return street.statuses()


def test_direct_refusal_of_our_ip_is_tried_again_and_the_person_who_is_unknown_is_not(session, settings, panel):
    street = laid(session, settings, panel, status="sending")
    told = recorded(street, [SPAMHAUS, "550 5.1.1 User unknown", SPAMHAUS, "250 ok"])
    assert told == {1: "deferred", 2: "bounced", 3: "deferred", 4: "accepted"}
    due = session.scalars(text("SELECT next_attempt_at > now() FROM delivery WHERE status = 'deferred'"))
    assert set(due) == {True}
    assert session.scalar(text("SELECT relay_failures FROM campaign WHERE id = :id"), {"id": street.campaign.id}) == 0


def test_direct_refusal_of_our_ip_that_lasts_fails_with_its_reason(session, settings, panel):
    street = laid(session, settings, panel, status="sending")
    impatient = replace(settings, max_retry_age_seconds=3600)
    told = recorded(street, [SPAMHAUS] * 4, attempts=5, begun=timedelta(hours=2), settings=impatient)
    assert set(told.values()) == {"failed"}
    assert all(told.startswith("Bloqueado:") and "Spamhaus" in told for told in replies(session).values())


def test_refused_ip_is_suspended_so_that_the_retry_leaves_by_another(session, settings, panel):
    street = laid(session, settings, panel, status="sending", recipients=4)
    pool = factories.egress_pool(session, street.relay)
    ips = [factories.egress_ip(session, pool, f"192.0.2.{n}") for n in (1, 2)]
    session.execute(text("UPDATE delivery SET egress_ip_id = :ip"), {"ip": ips[0].id})
    session.commit()
    five = "550 5.7.1 [BL21] Connections not accepted from servers on a blocklist"
    assert set(recorded(street, [five] * 4).values()) == {"deferred"}
    held = breaker.standing(session, street.relay.id, "yahoo", datetime.now(UTC))
    assert held.suspended_until(ips[0].id) is not None and held.suspended_until(ips[1].id) is None
