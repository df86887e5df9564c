"""The practice relay over real sockets and a real PostgreSQL: who may submit, what is stored, what each address gets."""

import base64
import smtplib
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, scoped_session, undefer

from app.config import Settings
from app.flow.practice import known_message_ids
from app.flow.relays import practice_password
from app.models import Panel, PracticeMessage
from tests.wire import Wire, content, envelope
from tests.workers.practice_process import PracticeProcess


@pytest.fixture(scope="module")
def shared_relay(
    request: pytest.FixtureRequest, postgres_url: str, worker_redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PracticeProcess]:
    """One process for all tests of this file. It outlives the emptying of the database between them."""
    directory = tmp_path_factory.mktemp("practice")
    settings = Settings(
        database_url=postgres_url,
        broker_url=worker_redis_url,
        redis_url=worker_redis_url,
        secret_key="a key for tests only",
        var_dir=str(directory),
    )
    with PracticeProcess(settings, directory / "relay.log") as relay:
        yield relay


@pytest.fixture
def relay(shared_relay: PracticeProcess, panel: Panel) -> PracticeProcess:
    return shared_relay


def stored(session: scoped_session[Session]) -> list[PracticeMessage]:
    session.rollback()
    return list(
        session.scalars(select(PracticeMessage).order_by(PracticeMessage.id).options(undefer(PracticeMessage.raw)))
    )


def send(wire: Wire, recipient: str, message_id: str = "<1@x>") -> str:
    """One message, pipelined; the reply that decided."""
    wire.say(envelope(recipient))
    assert wire.hear().startswith("250")
    to, data = wire.hear(), None
    if not to.startswith("250"):
        data = wire.hear()
        assert data.startswith("554 5.5.1")
        wire.ask(b"RSET")
        return to
    assert wire.hear().startswith("354")
    return wire.say(content(message_id)).hear()


# Greeting and log-in.


def test_ehlo_offers_what_a_bulk_sender_needs(relay: PracticeProcess):
    with Wire(relay.port) as wire:
        wire.hear()
        offered = {line[4:] for line in wire.ask(b"EHLO test.example.pe").splitlines()}
    assert {"PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "SIZE 26214400", "AUTH LOGIN PLAIN"} <= offered


def test_mail_without_log_in_is_refused(relay: PracticeProcess, session: scoped_session[Session]):
    with Wire(relay.port).greet() as wire:
        wire.say(envelope("ana@example.pe"))
        assert [wire.hear()[:9] for _ in range(3)] == ["530 5.7.0", "530 5.7.0", "530 5.7.0"]
    assert stored(session) == []


@pytest.mark.parametrize(
    ("user", "password"),
    [
        ("panel-empleo", "wrong"),
        ("panel-empleo", ""),
        ("empleo", "OF EMPLEO"),
        ("panel-fiscalizacion", "OF EMPLEO"),
        ("panel-\u00f1", "OF EMPLEO"),
    ],
)
def test_wrong_password_or_user_gets_535(relay: PracticeProcess, settings: Settings, user: str, password: str):
    password = password.replace("OF EMPLEO", practice_password(settings, "empleo"))
    token = base64.b64encode(f"\0{user}\0{password}".encode())
    with Wire(relay.port).greet() as wire:
        assert wire.ask(b"AUTH PLAIN " + token).startswith("535 5.7.8")
        assert wire.ask(b"MAIL FROM:<a@example.pe>").startswith("530")


@pytest.mark.parametrize("mechanism", ["auth_plain", "auth_login"])
def test_smtplib_logs_in_and_sends(
    relay: PracticeProcess, session: scoped_session[Session], settings: Settings, mechanism: str
):
    with smtplib.SMTP("127.0.0.1", relay.port, timeout=10) as client:
        client.ehlo()
        client.user, client.password = "panel-empleo", practice_password(settings, "empleo")
        client.auth(mechanism.removeprefix("auth_").upper(), getattr(client, mechanism))
        client.sendmail("a@example.pe", ["b@example.pe"], b"Subject: Hola\r\n\r\n.uno\r\n..dos\r\n")
    assert stored(session)[0].raw == b"Subject: Hola\r\n\r\n.uno\r\n..dos\r\n"


def test_log_in_of_a_panel_that_is_gone_is_told_at_mail(relay: PracticeProcess):
    with relay.wire("desaparecida") as wire:
        assert wire.ask(b"MAIL FROM:<a@example.pe>").startswith("550 5.7.1")


# Storing.


def test_message_is_stored_before_it_is_answered(
    relay: PracticeProcess, session: scoped_session[Session], panel: Panel
):
    body = "Línea con eñe\r\n\r\ny bytes que no son texto: \x00\x7f\r\n"
    subject = "=?utf-8?q?Feria_de_empleo_=C3=B1?="
    with relay.wire() as wire:
        wire.say(envelope("ana@example.pe"))
        wire.hear_codes(3)
        reply = wire.say(content("<1@x>", body, subject)).hear()
        row = stored(session)[0]
    assert reply == f"250 2.0.0 Ok: queued as P{row.id}"
    assert row.raw + b".\r\n" == content("<1@x>", body, subject)
    assert (row.panel_id, row.rcpt_to, row.message_id) == (panel.id, "ana@example.pe", "<1@x>")
    assert (row.mail_from, row.subject) == ("rebotes@boletin.example.gob.pe", "Feria de empleo ñ")
    assert row.size_bytes == len(row.raw)


def test_pipelined_envelope_and_next_mail_behind_the_final_dot(
    relay: PracticeProcess, session: scoped_session[Session]
):
    with relay.wire() as wire:
        wire.say(envelope("r0@example.pe"))
        for number in range(30):
            assert wire.hear_codes(3) == ["250", "250", "354"]
            wire.say(content(f"<{number}@x>") + envelope(f"r{number + 1}@example.pe"))
            assert wire.hear().startswith("250 2.0.0 Ok: queued")
        assert wire.hear_codes(3) == ["250", "250", "354"]
    assert [(m.rcpt_to, m.message_id) for m in stored(session)] == [
        (f"r{number}@example.pe", f"<{number}@x>") for number in range(30)
    ]


def test_replies_to_pipelined_commands_come_while_the_next_one_is_unfinished(relay: PracticeProcess):
    with relay.wire() as wire:
        wire.say(b"MAIL FROM:<a@example.pe>\r\nRCPT TO:<b@exa")
        assert wire.hear().startswith("250")
        assert wire.say(b"mple.pe>\r\n").hear().startswith("250")


def test_refused_recipient_in_a_pipelined_group_leaves_the_connection_usable(
    relay: PracticeProcess, session: scoped_session[Session]
):
    with relay.wire() as wire:
        wire.say(envelope("practica-550@example.pe") + b"RSET\r\n" + envelope("ana@example.pe"))
        assert wire.hear_codes(7) == ["250", "550", "554", "250", "250", "250", "354"]
        assert wire.say(content("<2@x>")).hear().startswith("250")
    assert [m.message_id for m in stored(session)] == ["<2@x>"]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 64])
def test_content_in_small_packets_is_stored_exactly(
    relay: PracticeProcess, session: scoped_session[Session], size: int
):
    whole = content("<1@x>", "..punto\r\n.\r.\n\r\n..\r\nfin\r\n")
    with relay.wire() as wire:
        wire.say(envelope("ana@example.pe"))
        wire.hear_codes(3)
        for start in range(0, len(whole), size):
            wire.say(whole[start : start + size])
            time.sleep(0.0005)
        assert wire.hear().startswith("250")
    assert stored(session)[0].raw == whole[:-3].replace(b"\r\n.", b"\r\n")


def test_bare_line_feeds_do_not_end_a_message(relay: PracticeProcess, session: scoped_session[Session]):
    """SMTP smuggling: only CRLF.CRLF ends the content (RFC 5321 §4.1.1.4)."""
    smuggled = b"Message-ID: <1@x>\r\n\r\nuno\n.\nMAIL FROM:<evil@example.com>\r\n\n.\r\ndos\r.\r\r\n.\r\n"
    with relay.wire() as wire:
        wire.say(envelope("ana@example.pe"))
        wire.hear_codes(3)
        assert wire.say(smuggled).hear().startswith("250")
        assert wire.ask(b"NOOP").startswith("250")
    assert [m.raw for m in stored(session)] == [smuggled[:-3]]


def test_empty_message_and_null_sender_are_stored(relay: PracticeProcess, session: scoped_session[Session]):
    with relay.wire() as wire:
        wire.say(b"MAIL FROM:<>\r\nRCPT TO:<ana@example.pe>\r\nDATA\r\n")
        wire.hear_codes(3)
        assert wire.say(b".\r\n").hear().startswith("250")
    row = stored(session)[0]
    assert (row.raw, row.mail_from, row.message_id, row.subject) == (b"", "", "", "")


def test_each_recipient_of_a_message_gets_a_row(relay: PracticeProcess, session: scoped_session[Session]):
    with relay.wire() as wire:
        wire.say(b"MAIL FROM:<a@example.pe>\r\nRCPT TO:<b@example.pe>\r\nRCPT TO:<practica-550@example.pe>\r\n")
        wire.say(b"RCPT TO:<c@example.pe>\r\nDATA\r\n")
        assert wire.hear_codes(5) == ["250", "250", "550", "250", "354"]
        assert wire.say(content("<1@x>")).hear().startswith("250")
    assert [m.rcpt_to for m in stored(session)] == ["b@example.pe", "c@example.pe"]


@pytest.mark.parametrize(
    "header",
    [
        "Subject: =?no-such-charset?q?Hola?=",
        "Subject: =?utf-8?b?####?=",
        "Subject: =?utf-8?b?AAAA?= \x00\x01",
        "Message-ID: " + "<" + "a" * 5000 + "@x>",
        "Subject: " + "=?utf-8?q?" + "=C3=B1" * 3000 + "?=",
        "Subject: uno\r\n\tdos\r\nSubject: tres",
        ": \r\nnada",
        "Subject: \udcff\udcfe",
    ],
)
def test_hostile_headers_are_stored_as_they_are(relay: PracticeProcess, session: scoped_session[Session], header: str):
    raw = header.encode("utf-8", "surrogateescape") + b"\r\n\r\nHola\r\n"
    with relay.wire() as wire:
        wire.say(envelope("ana@example.pe"))
        wire.hear_codes(3)
        assert wire.say(raw + b".\r\n").hear().startswith("250")
    row = stored(session)[0]
    assert row.raw == raw
    assert len(row.subject) <= 500 and len(row.message_id) <= 300


def test_too_big_message_is_refused_and_the_connection_goes_on(
    relay: PracticeProcess, session: scoped_session[Session]
):
    with relay.wire() as wire:
        assert wire.ask(b"MAIL FROM:<a@example.pe> SIZE=99999999").startswith("552 5.3.4")
        wire.say(envelope("ana@example.pe"))
        wire.hear_codes(3)
        for _ in range(27):
            wire.say(b"x" * 1022 * 1024 + b"\r\n")
        assert wire.say(b".\r\n").hear().startswith("552 5.3.4")
        assert send(wire, "ana@example.pe").startswith("250")
    assert len(stored(session)) == 1


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"MAIL FROM:<" + b"a" * 600 + b"@example.pe>", "500"),
        (b"RCPT TO:<a@example.pe>", "503"),
        (b"DATA", "503"),
        (b"MAIL FROM:<no address", "553"),
        (b"MAIL FROM:<\xc3\xb1@example.pe>", "500"),
        (b"\x00\x01\x02", "500"),
        (b"", "500"),
        (b"x" * 300_000, "500"),
    ],
)
def test_bad_commands_get_an_answer_and_the_connection_goes_on(relay: PracticeProcess, line: bytes, code: str):
    with relay.wire() as wire:
        assert wire.ask(line)[:5] == f"{code} 5"
        assert wire.ask(b"NOOP").startswith("250 2.0.0")


def test_known_message_ids_are_those_of_this_panel(
    relay: PracticeProcess, session: scoped_session[Session], panel: Panel, other_panel: Panel
):
    with relay.wire() as mine, relay.wire("fiscalizacion") as theirs:
        reply = send(mine, "ana@example.pe", "<mine@x>")
        send(theirs, "ana@example.pe", "<theirs@x>")
    asked = ["<mine@x>", "<theirs@x>", "<never@x>"]
    assert known_message_ids(session, panel.id, asked) == {"<mine@x>": reply.rpartition(" ")[2]}
    assert list(known_message_ids(session, other_panel.id, asked)) == ["<theirs@x>"]
    assert known_message_ids(session, panel.id, []) == {}


# Answers.


@pytest.mark.parametrize(
    ("local_part", "reply"),
    [
        ("practica-451", "451 4.3.0"),
        ("practica-452", "452 4.2.2"),
        ("practica-499", None),
        ("practica-550", "550 5.1.1"),
        ("PRACTICA-552", "552 5.2.2"),
        ("practica-551+maria", "551 5.1.6"),
        ("practica-dato-451", "451 4.3.0"),
        ("practica-dato-554", "554 5.7.1"),
    ],
)
def test_address_gets_the_reply_it_asks_for_always(
    relay: PracticeProcess, session: scoped_session[Session], local_part: str, reply: str | None
):
    with relay.wire() as wire:
        for _ in range(3):
            assert send(wire, f"{local_part}@example.pe").startswith(reply or "250")
        assert send(wire, "ana@example.pe", "<2@x>").startswith("250")
    assert len(stored(session)) == (1 if reply else 4)


def test_x2_limits_an_answer_to_the_first_two_tries_of_that_address(
    relay: PracticeProcess, session: scoped_session[Session]
):
    with relay.wire() as wire:
        codes = [send(wire, "practica-451x2@uno.example.pe")[:3] for _ in range(4)]
        codes += [send(wire, "practica-451x2+otra@uno.example.pe")[:3]]
        codes += [send(wire, "practica-dato-554x1@uno.example.pe")[:3] for _ in range(2)]
    assert codes == ["451", "451", "250", "250", "451", "554", "250"]
    assert len(stored(session)) == 3


def test_421_says_so_and_closes(relay: PracticeProcess):
    with relay.wire() as wire:
        wire.say(envelope("practica-421@example.pe"))
        assert wire.hear_codes(2) == ["250", "421"]
        with pytest.raises(EOFError):
            wire.hear()


def test_slow_address_is_accepted_late_and_blocks_nobody_else(relay: PracticeProcess, session: scoped_session[Session]):
    with relay.wire() as slow, relay.wire() as quick:
        began = time.monotonic()
        slow.say(envelope("practica-lento1@example.pe"))
        slow.hear_codes(3)
        slow.say(content("<slow@x>"))
        assert send(quick, "ana@example.pe", "<quick@x>").startswith("250")
        assert time.monotonic() - began < 0.9
        assert slow.hear().startswith("250")
        assert time.monotonic() - began >= 1
    assert {m.message_id for m in stored(session)} == {"<slow@x>", "<quick@x>"}


def test_cut_address_drops_the_connection_and_stores_nothing(relay: PracticeProcess, session: scoped_session[Session]):
    with relay.wire() as wire:
        wire.say(envelope("practica-corte@example.pe"))
        assert wire.hear_codes(3) == ["250", "250", "354"]
        with pytest.raises((EOFError, ConnectionError)):
            wire.say(content("<1@x>")).hear()
    assert stored(session) == []


def test_cut_after_storing_stores_and_drops_the_connection(
    relay: PracticeProcess, session: scoped_session[Session], panel: Panel
):
    with relay.wire() as wire:
        wire.say(envelope("practica-corte-guardadox1@example.pe"))
        assert wire.hear_codes(3) == ["250", "250", "354"]
        with pytest.raises(EOFError):
            wire.say(content("<1@x>")).hear()
    assert list(known_message_ids(session, panel.id, ["<1@x>"])) == ["<1@x>"]
    with relay.wire() as wire:
        assert send(wire, "practica-corte-guardadox1@example.pe").startswith("250")


def test_log_shows_no_addresses_and_no_traceback(relay: PracticeProcess):
    """Last in this file: after everything above was thrown at the relay."""
    assert "Traceback" not in relay.log
    assert "example.pe" not in relay.log
