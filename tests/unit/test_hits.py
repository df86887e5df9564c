"""Reading hits: whatever stands in a line, what comes out is bounded and fits its column, or is refused with a reason."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.flow.hits import Hit, UnreadableHit, clean_address, clean_agent, decode_hit, encode_hit
from app.models import EventKind

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def line(**changes: object) -> bytes:
    fields = {
        "h": "0123456789abcdef01234567", "k": "click", "c": 7, "s": 12, "n": 3,
        "t": int(NOW.timestamp() * 1_000_000) + 123, "i": "192.0.2.1", "u": "Mail/1.0",
    }  # fmt: skip
    return json.dumps(fields | changes).encode()


def test_what_is_encoded_is_read_back() -> None:
    hit = decode_hit(
        encode_hit(EventKind.CLICK, 7, 12, link=3, ip="2001:db8::1", user_agent="Mail/1.0"), now=datetime.now(UTC)
    )
    assert (hit.kind, hit.campaign_id, hit.seq, hit.link, hit.ip, hit.user_agent) == (
        EventKind.CLICK, 7, 12, 3, "2001:db8::1", "Mail/1.0",
    )  # fmt: skip
    assert abs(hit.occurred_at - datetime.now(UTC)) < timedelta(seconds=5)


def test_each_hit_has_its_own_id() -> None:
    lines = [encode_hit(EventKind.OPEN, 1, 1) for _ in range(1000)]
    assert len({decode_hit(one, now=datetime.now(UTC)).hit_id for one in lines}) == 1000


def test_time_comes_from_the_line_to_the_microsecond() -> None:
    first, second = decode_hit(line(), now=NOW), decode_hit(line(), now=NOW + timedelta(days=3))
    assert first == second
    assert first.occurred_at == NOW + timedelta(microseconds=123)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"h": "short"}, "bad_id"),
        ({"h": "0123456789ABCDEF01234567"}, "bad_id"),
        ({"h": None}, "bad_id"),
        ({"k": "unsubscribe"}, "bad_kind"),
        ({"k": ["click"]}, "bad_kind"),
        ({"c": "7"}, "bad_campaign"),
        ({"c": True}, "bad_campaign"),
        ({"c": 2**31}, "bad_campaign"),
        ({"s": -1}, "bad_seq"),
        ({"s": 1.5}, "bad_seq"),
        ({"n": 40_000}, "bad_link"),
        ({"n": None}, "bad_link"),
        ({"t": 10**30}, "bad_time"),
        ({"t": 0}, "bad_time"),
        ({"t": int((NOW + timedelta(days=2)).timestamp() * 1_000_000)}, "bad_time"),
    ],
)
def test_refused_with_a_reason(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(UnreadableHit) as refused:
        decode_hit(line(**changes), now=NOW)
    assert refused.value.reason == reason


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"7", b"\xff\xfe", b"[" * 4000, b"x" * 5000, line(u="a" * 5000)])
def test_what_is_no_hit_is_refused(raw: bytes) -> None:
    with pytest.raises(UnreadableHit):
        decode_hit(raw, now=NOW)


@pytest.mark.parametrize(
    ("given_address", "kept"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("unknown", None),
        ("192.0.2.1; DROP TABLE event", None),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_addresses_are_addresses_or_nothing(given_address: object, kept: str | None) -> None:
    assert clean_address(given_address) == kept


@pytest.mark.parametrize(
    ("given_agent", "kept"),
    [
        ("Mail/1.0", "Mail/1.0"),
        ("a\x00b\r\nc", "a b c"),
        ("cami\u00c3\u00b3n", "camión"),
        ("\ud800", "?"),
        ("x" * 1000, "x" * 300),
        (None, ""),
        ({"a": 1}, ""),
    ],
)
def test_agents_are_bounded_readable_text(given_agent: object, kept: str) -> None:
    assert clean_agent(given_agent) == kept


@given(st.binary(max_size=200) | st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists).map(
    lambda value: json.dumps(value).encode()
))  # fmt: skip
def test_no_line_raises_anything_else(raw: bytes) -> None:
    try:
        assert isinstance(decode_hit(raw, now=NOW), Hit)
    except UnreadableHit as problem:
        assert problem.reason


@given(st.fixed_dictionaries({}, optional={k: st.none() | st.integers() | st.text() | st.floats() for k in "hkcsntiu"}))
def test_no_field_raises_anything_else(changes: dict[str, object]) -> None:
    try:
        hit = decode_hit(line(**changes), now=NOW)
    except UnreadableHit:
        return
    assert len(hit.user_agent) <= 300 and "\x00" not in hit.user_agent
    hit.user_agent.encode()
