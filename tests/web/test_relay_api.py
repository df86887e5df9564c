"""What comes over HTTPS from a relay's host: who may report, what a bundle may be, and that it may come twice."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from app.flow import relay_keys
from app.mail.relay_report import MAX_BUNDLE_BYTES, MAX_SIGHTINGS, Bundle, Seen, Sighting, to_json
from app.mail.tokens import make_token
from tests import factories
from tests.egress_sink import wait_for
from tests.fixtures.app import served
from tests.fixtures.services import ROOT
from tests.relay_street import RelayStreet, turn_until
from workers.relay.follow import Follower
from workers.relay.handover import NotTaken, OverHttps
from workers.relay.memory import Memory

NOW = datetime.now(UTC).replace(microsecond=0)

pytestmark = pytest.mark.usefixtures("fresh_now")


@pytest.fixture
def street(session, settings, panel) -> RelayStreet:
    return RelayStreet.laid(session, settings, panel)


@pytest.fixture
def key(street, session) -> str:
    return relay_keys.make_key(session, street.relay.id)


def seen(street: RelayStreet, seq: int, sighting: str = "sent", **values: object) -> Seen:
    told = {"token": street.token(seq), "queue_id": "4dDcHs3Vqlz9tGx", "at": NOW, "reply": "250 ok", **values}
    return Seen(sighting=Sighting(sighting), **told)  # type: ignore[arg-type]


def post(client, street, key, body, *, relay_id=None):
    told = body if isinstance(body, (bytes, str)) else json.dumps(to_json(body))
    path = f"/api/relay/{relay_id or street.relay.id}/log-outcomes"
    return client.post(path, data=told, headers={"Authorization": f"Bearer {key}"}, content_type="application/json")


def test_bundle_that_comes_three_times_counts_once(client, street, key):
    bundle = Bundle((seen(street, 1), seen(street, 2, "bounced", reply="550 no"), seen(street, 3, "deferred")), NOW)
    for _ in range(3):
        answer = post(client, street, key, bundle)
        assert answer.status_code == 200 and answer.json["known"] == 3
    assert street.statuses() == {1: "delivered", 2: "bounced", 3: "accepted", 4: "accepted"}
    assert street.outcomes() == [(1, "sent"), (2, "bounced"), (3, "deferred")]
    assert street.counted() == {"delivered": 1, "bounced": 1, "accepted": 2}


@pytest.mark.parametrize("wrong", ["", "x", "chaski_relay_" + "a" * 43, "ñ" * 50, "x" * 5000])
def test_wrong_key_is_refused_before_anything_is_read(client, street, key, wrong):
    answer = post(client, street, wrong, Bundle((seen(street, 1),)))
    assert (answer.status_code, answer.json) == (401, {"error": "wrong_key"})
    assert street.statuses()[1] == "accepted"


def test_guessing_keys_is_slowed_down_and_right_ones_still_work(client, street, key):
    answers = [post(client, street, "wrong", Bundle()).status_code for _ in range(40)]
    assert set(answers[:30]) == {401} and set(answers[30:]) == {429}


def test_many_good_bundles_are_no_flood(client, street, key):
    assert {post(client, street, key, Bundle()).status_code for _ in range(80)} == {200}


def test_key_of_another_relay_opens_only_that_one(client, street, key, session, other_panel):
    other = factories.relay(session, other_panel, 25871)
    foreign = relay_keys.make_key(session, other.id)
    assert post(client, street, foreign, Bundle((seen(street, 1),))).status_code == 403
    answer = post(client, street, foreign, Bundle((seen(street, 1),)), relay_id=other.id)
    assert (answer.status_code, answer.json["foreign"]) == (200, 1), "a delivery that this relay never had"
    assert street.statuses()[1] == "accepted"


def test_revoked_key_is_over(client, street, key, session):
    assert relay_keys.revoke_keys(session, street.relay.id) == 1
    assert post(client, street, key, Bundle()).status_code == 401


def test_key_is_kept_as_a_hash_only(street, key, session):
    assert key.encode() not in session.scalar(text("SELECT key_hash FROM relay_api_key"))


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b"\xff\xfe", b"{}", b'{"seen": 1}', b"[" * 200_000, b'{"seen": [], "read_until": 5}']
)
def test_what_is_no_bundle_is_refused(client, street, key, body):
    assert post(client, street, key, body).status_code == 400


def test_bundle_beyond_its_bounds_is_refused(client, street, key):
    many = Bundle(tuple(seen(street, 1) for _ in range(MAX_SIGHTINGS + 1)))
    assert post(client, street, key, many).status_code == 400
    assert post(client, street, key, b" " * (MAX_BUNDLE_BYTES + 1)).status_code == 413
    assert street.outcomes() == []


def test_forged_tokens_and_hostile_sightings_are_left_out_and_counted(client, street, key, session):
    forged = make_token(b"someone else's key", street.campaign.id, 1)
    good = to_json(Bundle((seen(street, 1, reply="nul \0 and \ud800"), seen(street, 2, token=forged))))
    good["seen"] += [{}, None, {**good["seen"][0], "delay_ms": 10**12}]
    answer = post(client, street, key, json.dumps(good))
    assert (answer.json["known"], answer.json["foreign"], answer.json["malformed"]) == (1, 1, 3)
    assert street.statuses() == {1: "delivered", 2: "accepted", 3: "accepted", 4: "accepted"}
    counts = session.execute(text("SELECT foreign_count, malformed_count FROM relay_log")).one()
    assert tuple(counts) == (1, 3)


def test_time_that_is_still_to_come_is_not_believed(client, street, key, session):
    post(client, street, key, Bundle(read_until=datetime.now(UTC) + timedelta(days=1)))
    assert session.scalar(text("SELECT read_until <= clock_timestamp() FROM relay_log"))


LOG = """\
Nov 21 20:03:01 relay postfix/cleanup[1]: 4dDcHs3Vqlz9tGx: message-id=<{token}@boletin.example.gob.pe>
Nov 21 20:03:01 relay postfix/qmgr[1]: 4dDcHs3Vqlz9tGx: from=<b-{token}@rebotes.example.gob.pe>, size=1, nrcpt=1 (queue active)
Nov 21 20:03:02 relay postfix/smtp-7/smtp[1]: 4dDcHs3Vqlz9tGx: to=<p@example.pe>, relay=mx.example.pe[192.0.2.7]:25, \
delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (250 ok)
"""


def test_follower_reports_over_http_and_waits_for_a_platform_that_refuses_it(app, street, key, tmp_path):
    log = tmp_path / "postfix.log"
    log.write_text(LOG.format(token=street.token(2)))
    with served(app) as address:
        stranger = OverHttps(address, street.relay.id, "wrong")
        with pytest.raises(NotTaken, match="401"):
            stranger.hand(Bundle())
        own = OverHttps(address, street.relay.id, key)
        follower = Follower(log, Memory(tmp_path / "follower.sqlite"), own)
        turn_until(follower, lambda: street.statuses()[2] == "delivered", "the outcome")
        assert own.clock() is not None
    with pytest.raises(NotTaken):
        own.hand(Bundle())


def follow(tmp_path, *arguments: str) -> subprocess.Popen[bytes]:
    """As on the relay's own host: without a database, Redis or settings."""
    command = [sys.executable, "-m", "workers.relay.follow", *arguments]
    environment = {"PATH": "/usr/bin:/bin", "CHASKI_VAR": str(tmp_path / "none")}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE)


def test_process_on_the_relays_own_host_needs_nothing_but_its_key(app, street, key, tmp_path):
    log = tmp_path / "postfix.log"
    log.write_text(LOG.format(token=street.token(3)))
    (tmp_path / "key").write_text(f"{key}\n")
    with served(app) as address:
        process = follow(
            tmp_path, "--log", str(log), "--state", str(tmp_path / "state"), "--relay", str(street.relay.id),
            "--platform", address, "--key-file", str(tmp_path / "key"),
        )  # fmt: skip
        try:
            wait_for(lambda: street.statuses()[3] == "delivered", "the outcome")
        finally:
            process.terminate()
            assert process.wait(10) == 0
            process.communicate()


def test_key_does_not_travel_in_the_clear(tmp_path):
    process = follow(
        tmp_path,
        "--log",
        "x",
        "--state",
        "y",
        "--relay",
        "1",
        "--platform",
        "http://correo.example.pe",
        "--key-file",
        "z",
    )
    _out, words = process.communicate(timeout=30)
    assert process.returncode != 0 and b"https://" in words


def test_without_a_log_to_follow_the_process_waits_and_ends_when_told(settings, tmp_path):
    command = [sys.executable, "-m", "workers.relay.follow", "--if-configured"]
    values = {
        "DATABASE_URL": settings.database_url,
        "BROKER_URL": settings.broker_url,
        "SECRET_KEY": settings.secret_key,
    }
    environment = {"PATH": "/usr/bin:/bin", "CHASKI_VAR": str(tmp_path), **values}
    with (tmp_path / "words").open("wb") as words:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=words, stderr=words)
    wait_for(lambda: b"follower_has_no_log" in (tmp_path / "words").read_bytes(), "its word")
    assert process.poll() is None
    process.terminate()
    assert process.wait(10) == 0
