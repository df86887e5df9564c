"""Lines of a real Postfix, and lines that want to be taken for them."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.mail.postfix_log import Expired, Interrupted, Named, Queued, Removed, Tried, is_postfix_line, parse_line
from app.mail.relay_report import Bundle, MalformedSighting, Seen, Sighting, from_json, read_seen, to_json

NOW = datetime(2026, 11, 21, 20, 10, tzinfo=UTC)
AT = datetime(2026, 11, 21, 20, 3, 1, tzinfo=UTC)
HEAD = "Nov 21 20:03:01 relay "
TRY = "4dDcHs3Vqlz9tGx: to=<rosa@example.pe>, relay=mx.example.pe[192.0.2.7]:25, delay=0.42, delays=0.1/0.02/0.1/0.2, "


def read(said: str, *, head: str = HEAD, now: datetime = NOW):
    return parse_line(head + said, now=now)


def test_sent_line_tells_host_address_delays_code_reply_and_ip():
    event = read(f"postfix/smtp-7/smtp[812]: {TRY}dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 12AB)")
    assert event == Tried(
        at=AT,
        queue_id="4dDcHs3Vqlz9tGx",
        recipient="rosa@example.pe",
        status="sent",
        remote_host="mx.example.pe",
        remote_address="192.0.2.7",
        remote_port=25,
        delay_ms=420,
        delays_ms=(100, 20, 100, 200),
        dsn="2.0.0",
        reply="250 2.0.0 Ok: queued as 12AB",
        egress_ip_id=7,
    )


def test_deferral_without_a_host_names_none():
    event = read(
        "postfix/smtp-7/smtp[812]: A1B2C3D4E5: to=<rosa@example.pe>, relay=none, delay=31, delays=0/0.1/30/0, "
        "dsn=4.4.1, status=deferred (connect to mx.example.pe[192.0.2.7]:25: Connection timed out)"
    )
    assert isinstance(event, Tried)
    assert (event.status, event.remote_host, event.remote_address, event.delay_ms) == ("deferred", "", "", 31_000)


def test_ipv6_host_and_a_reused_connection_are_read():
    event = read(
        "postfix/smtp-48/smtp[9]: A1B2C3D4E5: to=<a@example.pe>, orig_to=<b@example.pe>, "
        "relay=mx.example.pe[2001:db8::7]:25, conn_use=12, delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced (550 no)"
    )
    assert isinstance(event, Tried)
    assert (event.remote_address, event.egress_ip_id, event.status) == ("2001:db8::7", 48, "bounced")


@pytest.mark.parametrize(
    ("said", "event"),
    [
        (
            "postfix/cleanup[1]: 4dDcHs3Vqlz9tGx: message-id=<x@example.pe>",
            Named(AT, "4dDcHs3Vqlz9tGx", "<x@example.pe>"),
        ),
        (
            "postfix/qmgr[1]: A1B2C3D4E5: from=<b-x@example.pe>, size=1234, nrcpt=1 (queue active)",
            Queued(AT, "A1B2C3D4E5", "b-x@example.pe", 1234, 1),
        ),
        ("postfix/qmgr[1]: A1B2C3D4E5: removed", Removed(AT, "A1B2C3D4E5")),
        (
            "postfix/qmgr[1]: A1B2C3D4E5: from=<b-x@example.pe>, status=expired, returned to sender",
            Expired(AT, "A1B2C3D4E5"),
        ),
        (
            "postfix/qmgr[1]: A1B2C3D4E5: from=<b-x@example.pe>, status=force-expired, returned to sender",
            Expired(AT, "A1B2C3D4E5"),
        ),
        ("postfix/master[1]: reload -- version 3.7.11, configuration /etc/postfix", Interrupted(AT, goes_on=True)),
        ("postfix/master[1]: daemon started -- version 3.7.11", Interrupted(AT, goes_on=True)),
        ("postfix/master[1]: terminating on signal 15", Interrupted(AT, goes_on=False)),
        ("postfix/postfix-script[1]: stopping the Postfix mail system", Interrupted(AT, goes_on=False)),
    ],
)
def test_other_lines_that_matter_are_read(said, event):
    assert read(said) == event


@pytest.mark.parametrize(
    "said",
    [
        "postfix/cleanup[1]: 4dDcHs3Vqlz9tGx: filter: header X-Chaski-Egress: 127.0.1.7 from localhost[127.0.0.1]; "
        "from=<b-x@example.pe> to=<rosa@example.pe> proto=ESMTP helo=<x>: smtp-7:",
        "postfix/submission/smtpd[1]: A1B2C3D4E5: client=localhost[127.0.0.1]",
        "postfix/smtpd[1]: warning: from=<b-x@example.pe>, size=1, nrcpt=1 (queue active)",
        "postfix/bounce[1]: A1B2C3D4E5: sender non-delivery notification: B1B2C3D4E5",
        "postfix/cleanup[1]: A1B2C3D4E5: to=<a@example.pe>, relay=none, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (x)",
        "postfix/discard[1]: A1B2C3D4E5: to=<a@example.pe>, relay=none, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (x)",
        "postfix/error[1]: A1B2C3D4E5: to=<a@example.pe>, relay=none, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (x)",
        'postfix/smtp[1]: A1B2C3D4E5: to=<"a>, relay=h[192.0.2.1]:25, delay=1, delays=0/0/0/1, dsn=2.0.0, status=sent (x"@e.pe>, '
        "relay=none, delay=1, delays=0/0/0/1, dsn=5.0.0, status=bounced (y)",
        "dovecot/smtp[1]: A1B2C3D4E5: removed",
    ],
)
def test_lines_that_only_look_like_it_say_nothing(said):
    assert read(said) is None


def test_reply_that_plays_a_success_stays_a_reply():
    lie = "550 no), relay=x[192.0.2.1]:25, delay=0, delays=0/0/0/0, dsn=2.0.0, status=sent (250 ok"
    event = read(f"postfix/smtp-7/smtp[812]: {TRY}dsn=5.1.1, status=bounced ({lie})")
    assert isinstance(event, Tried)
    assert (event.status, event.dsn, event.reply) == ("bounced", "5.1.1", lie)


def test_long_reply_and_one_that_was_cut_are_kept_in_part():
    event = read(f"postfix/smtp-7/smtp[812]: {TRY}dsn=5.1.1, status=bounced ({'x' * 3000}")
    assert isinstance(event, Tried)
    assert event.reply == "x" * 500


@pytest.mark.parametrize(
    ("stamp", "at"),
    [
        ("2026-11-21T20:03:01+00:00", AT),
        ("2026-11-21T15:03:01.250-05:00", AT + timedelta(milliseconds=250)),
        ("2026-11-21T20:03:01.123456Z", AT + timedelta(microseconds=123456)),
    ],
)
def test_rfc_3339_timestamps_are_read(stamp, at):
    assert read("postfix/qmgr[1]: A1B2C3D4E5: removed", head=f"{stamp} relay ") == Removed(at, "A1B2C3D4E5")


def test_traditional_timestamp_is_of_the_readers_zone_and_of_the_nearest_year():
    lima = timezone(timedelta(hours=-5))
    new_year = datetime(2027, 1, 1, 0, 0, 5, tzinfo=lima)
    event = read("postfix/qmgr[1]: A1B2C3D4E5: removed", head="Dec 31 23:59:58 relay ", now=new_year)
    assert event == Removed(datetime(2027, 1, 1, 4, 59, 58, tzinfo=UTC), "A1B2C3D4E5")
    assert read("postfix/qmgr[1]: A1B2C3D4E5: removed", head="Feb 29 10:00:00 relay ") is None, "no such day"


PARTS = st.sampled_from(
    [
        HEAD, "postfix/smtp-7/smtp[812]: ", "postfix/qmgr[1]: ", "postfix/cleanup[3]: ", "A1B2C3D4E5: ", TRY, "removed",
        "status=sent (", "dsn=2.0.0, ", "from=<a@b>, size=1, nrcpt=1 (queue active)", "message-id=<x@y>", "\0", "٣", "\ud800",
        "9999-12-31T23:59:59-23:59 ", "0001-01-01T00:00:00+23:59 ", "delay=9e9", "smtp-99999999999/", "\n", ")", "Feb 30 ",
    ]
)  # fmt: skip


@given(st.one_of(st.text(), st.lists(st.one_of(PARTS, st.text(max_size=5))).map("".join)))
def test_no_line_raises(line):
    event = parse_line(line, now=NOW)
    assert event is None or is_postfix_line(line)


@given(st.text(max_size=600))
def test_no_reply_changes_anything_before_it(reply):
    event = read(f"postfix/smtp-7/smtp[812]: {TRY}dsn=4.2.0, status=deferred ({reply})")
    assert isinstance(event, Tried)
    assert (event.status, event.dsn, event.egress_ip_id, event.recipient) == ("deferred", "4.2.0", 7, "rosa@example.pe")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["seen", "at", "token", "x"]), inner),
    max_leaves=10,
)


def sighting(**changes: object) -> Seen:
    values = {"sighting": Sighting.SENT, "token": "a" * 32, "queue_id": "A1B2C3D4E5", "at": AT, "reply": "250 ok"}
    return Seen(**{**values, **changes})  # type: ignore[arg-type]


def test_bundle_survives_json():
    bundle = Bundle((sighting(delay_ms=3, dsn="2.0.0"), sighting(sighting=Sighting.NAMED)), AT, has_gap=True)
    assert from_json(json.loads(json.dumps(to_json(bundle)))) == (bundle, 0)


@given(JSON)
def test_foreign_json_is_refused_or_left_out(told):
    try:
        bundle, malformed = from_json(told)
    except MalformedSighting:
        return
    assert bundle.seen == () and malformed == len(told["seen"])


@pytest.mark.parametrize(
    "change",
    [
        {"sighting": "delivered"},
        {"token": "A" * 32},
        {"token": "a" * 31},
        {"queue_id": "../../x"},
        {"at": "2026-11-21T20:03:01"},
        {"at": "9999-12-31T23:59:59-23:59"},
        {"delay_ms": 2**31},
        {"delay_ms": True},
        {"egress_ip_id": -1},
        {"dsn": "2.0.0; DROP"},
        {"reply": 7},
    ],
)
def test_what_the_database_could_not_keep_is_malformed(change):
    good = to_json(Bundle((sighting(),)))["seen"][0]
    read_seen(good)
    with pytest.raises(MalformedSighting):
        read_seen({**good, **change})
