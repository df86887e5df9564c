"""The practice mailbox in the browser's eyes: who sees what, and what a hostile message can't do."""

from datetime import UTC, datetime

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session, scoped_session

from app.mail.captured import identify
from app.models import CampaignStatus, Panel, PracticeMessage, User
from tests import factories
from tests.fixtures.app import log_in

MAIL = """From: =?utf-8?q?Ministerio?= <noticias@boletin.example.gob.pe>
To: ana@example.pe
Subject: =?utf-8?q?Feria_de_empleo_en_Jun=C3=ADn?=
Message-ID: <abc@boletin.example.gob.pe>
List-Unsubscribe: <https://correo.example.pe/u/abc>
List-Unsubscribe-Post: List-Unsubscribe=One-Click
DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;
 d=boletin.example.gob.pe; s=chaski1;
 h=From:To; bh=abc=; b=def=
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary="b"

--b
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

Hola Ana, la feria es ma=C3=B1ana.
--b
Content-Type: text/html; charset=utf-8

<!doctype html><html><head><title>x</title></head><body><p>Hola <b>Ana</b></p><script>evil()</script></body></html>
--b--
""".replace("\n", "\r\n").encode()


@pytest.fixture
def without_csrf(app: Flask) -> None:
    """For tests of what comes behind the CSRF check."""
    app.config["WTF_CSRF_ENABLED"] = False


def capture(session: scoped_session[Session], panel: Panel, raw: bytes = MAIL, to: str = "ana@example.pe") -> int:
    identity = identify(raw)
    row = PracticeMessage(
        panel_id=panel.id,
        message_id=identity.message_id,
        mail_from="rebotes@boletin.example.gob.pe",
        rcpt_to=to,
        subject=identity.subject,
        received_at=datetime(2026, 11, 21, 15, 0, tzinfo=UTC),
        size_bytes=len(raw),
        raw=raw,
    )
    session.add(row)
    session.commit()
    return row.id


def count(session: scoped_session[Session]) -> int:
    return session.scalar(select(func.count()).select_from(PracticeMessage)) or 0


def test_empty_mailbox_says_what_to_do_next(client: FlaskClient, bob: User):
    page = log_in(client, bob).get("/p/empleo/practice/").get_data(as_text=True)
    assert "El buzón está vacío" in page
    assert "/p/empleo/practice/addresses" in page
    assert "Vaciar" not in page


def test_list_shows_recipient_subject_time_and_size(
    client: FlaskClient, bob: User, panel: Panel, session: scoped_session[Session]
):
    message_id = capture(session, panel)
    page = log_in(client, bob).get("/p/empleo/practice/").get_data(as_text=True)
    for expected in ("ana@example.pe", "Feria de empleo en Junín", "21 nov 2026", f"/p/empleo/practice/{message_id}"):
        assert expected in page
    assert "1 mensaje en el buzón." in page


@pytest.mark.parametrize(
    ("searched", "found"),
    [
        ("LUIS@", ["luis"]),
        ("junín", ["ana"]),
        ("example.pe", ["ana", "luis"]),
        ("100%", ["luis"]),
        ("_", []),
        ("\x00", ["ana", "luis"]),
    ],
)
def test_search_by_address_and_subject_takes_wildcards_literally(
    client: FlaskClient, bob: User, panel: Panel, session: scoped_session[Session], searched: str, found: list[str]
):
    capture(session, panel)
    capture(session, panel, b"Subject: 100% gratis\r\n\r\n", "luis@example.pe")
    page = log_in(client, bob).get("/p/empleo/practice/", query_string={"q": searched}).get_data(as_text=True)
    assert [name for name in ("ana", "luis") if f"{name}@example.pe</td>" in page] == found
    assert ("Ningún mensaje coincide" in page) == (not found)


def test_list_is_paged_by_key_and_sorted(
    client: FlaskClient, bob: User, panel: Panel, session: scoped_session[Session]
):
    for number in range(60):
        capture(session, panel, b"Subject: n\r\n\r\n", f"r{number:02}@example.pe")
    browser = log_in(client, bob)
    first = browser.get("/p/empleo/practice/?sort=recipient").get_data(as_text=True)
    assert "r00@example.pe" in first and "r49@example.pe" in first and "r50@example.pe" not in first
    following = first.partition('rel="next"')[0].rpartition('href="')[2].partition('"')[0].replace("&amp;", "&")
    second = browser.get(following).get_data(as_text=True)
    assert "r50@example.pe" in second and "r59@example.pe" in second and "r49@example.pe" not in second
    assert "hx-get" not in second  # A page that was turned stands still.


def test_htmx_gets_the_rows_only(client: FlaskClient, bob: User, panel: Panel, session: scoped_session[Session]):
    capture(session, panel)
    rows = log_in(client, bob).get("/p/empleo/practice/", headers={"HX-Request": "true"}).get_data(as_text=True)
    assert "ana@example.pe" in rows
    assert "<html" not in rows


def test_message_page_shows_each_view(client: FlaskClient, bob: User, panel: Panel, session: scoped_session[Session]):
    url = f"/p/empleo/practice/{capture(session, panel)}"
    browser = log_in(client, bob)
    html, text, headers, source = (
        browser.get(url, query_string={"view": view}).get_data(as_text=True)
        for view in ("html", "text", "headers", "source")
    )
    assert f'src="{url}/html"' in html and "sandbox=" in html and "evil()" not in html
    assert "la feria es mañana" in text
    assert "Dominio boletin.example.gob.pe, selector chaski1, algoritmo rsa-sha256." in headers
    assert "con un solo clic" in headers
    assert "=?utf-8?q?Feria_de_empleo_en_Jun=C3=ADn?=" in source


def test_frame_of_the_message_is_sandboxed(
    client: FlaskClient, bob: User, panel: Panel, session: scoped_session[Session]
):
    answer = log_in(client, bob).get(f"/p/empleo/practice/{capture(session, panel)}/html")
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none';")
    assert "script" not in policy and "same-origin" not in policy
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert '<head><base target="_blank">' in answer.get_data(as_text=True)


def test_download_is_the_message_byte_for_byte(
    client: FlaskClient, bob: User, panel: Panel, session: scoped_session[Session]
):
    raw = b"Subject: x\r\n\r\n\x00\xff\xfe\r\n"
    message_id = capture(session, panel, raw)
    answer = log_in(client, bob).get(f"/p/empleo/practice/{message_id}/message.eml")
    assert answer.data == raw
    assert answer.headers["Content-Disposition"] == f'attachment; filename="P{message_id}.eml"'


HOSTILE = {
    "empty": b"",
    "no header": b"\r\n\r\nHola",
    "binary": bytes(range(256)) * 20,
    "unknown charset": b"Content-Type: text/html; charset=no-such\r\n\r\n<p>\xff",
    "broken multipart": b"Content-Type: multipart/mixed\r\n\r\n--\r\n",
    "broken base64": b"Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!!=",
    "deep multipart": b"".join(
        b"Content-Type: multipart/mixed; boundary=%d\r\n\r\n--%d\r\n" % (level, level) for level in range(2000)
    ),
    "many headers": b"X: y\r\n" * 20_000,
    "odd headers": b"From: \xff\xfe <@@@>\r\nTo: ,,,;;\r\nDate: never\r\nContent-Type: /;;=\r\n\r\n",
    "markup everywhere": b"Subject: <script>alert(1)</script>\r\nX-A: <script>alert(1)</script>\r\n\r\n<script>alert(1)</script>",
    "html as attachment": b'Content-Type: text/html\r\nContent-Disposition: attachment; filename="<script>"\r\n\r\n<p>',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_message_never_breaks_the_page(
    client: FlaskClient, bob: User, panel: Panel, session: scoped_session[Session], name: str
):
    message_id = capture(session, panel, HOSTILE[name])
    browser = log_in(client, bob)
    for view in ("", "html", "text", "headers", "source"):
        answer = browser.get(f"/p/empleo/practice/{message_id}?view={view}")
        assert answer.status_code == 200
        assert "<script>alert" not in answer.get_data(as_text=True)
    assert browser.get("/p/empleo/practice/").status_code == 200
    assert browser.get(f"/p/empleo/practice/{message_id}/html").status_code in (200, 404)


def test_message_that_cannot_be_parsed_shows_its_source_and_says_so(
    client: FlaskClient, bob: User, panel: Panel, session: scoped_session[Session]
):
    message_id = capture(session, panel, b"Subject: grande\r\n\r\n" + b"x" * 76 * 80_000)
    page = log_in(client, bob).get(f"/p/empleo/practice/{message_id}?view=html").get_data(as_text=True)
    assert "demasiado grande" in page and "Subject: grande" in page
    assert len(page) < 300_000


def test_other_panels_messages_answer_404(
    client: FlaskClient, alice: User, other_panel: Panel, session: scoped_session[Session]
):
    message_id = capture(session, other_panel)
    browser = log_in(client, alice)
    for path in ("", "/html", "/message.eml"):
        assert browser.get(f"/p/empleo/practice/{message_id}{path}").status_code == 404
        assert browser.get(f"/p/fiscalizacion/practice/{message_id}{path}").status_code == 404
    assert "ana@example.pe" not in browser.get("/p/empleo/practice/").get_data(as_text=True)


@pytest.mark.usefixtures("without_csrf")
def test_emptying_takes_this_panels_messages_only_and_says_how_many(
    client: FlaskClient, alice: User, panel: Panel, other_panel: Panel, session: scoped_session[Session]
):
    for _ in range(3):
        capture(session, panel)
    capture(session, other_panel)
    browser = log_in(client, alice)
    assert "Se borrarán 3 mensajes" in browser.get("/p/empleo/practice/").get_data(as_text=True)
    answer = browser.post("/p/empleo/practice/clear", follow_redirects=True).get_data(as_text=True)
    assert "Se borraron 3 mensajes." in answer
    assert count(session) == 1


@pytest.mark.usefixtures("without_csrf")
def test_viewers_cannot_empty_the_mailbox(
    client: FlaskClient, bob: User, panel: Panel, session: scoped_session[Session]
):
    capture(session, panel)
    assert log_in(client, bob).post("/p/empleo/practice/clear").status_code == 403
    assert count(session) == 1


@pytest.mark.usefixtures("without_csrf")
def test_mailbox_is_kept_while_a_campaign_is_sent(
    client: FlaskClient, alice: User, panel: Panel, session: scoped_session[Session]
):
    """It is what reconciling asks: emptied in between, a message whose answer was lost would be sent twice."""
    capture(session, panel)
    factories.campaign(session, panel, name="Feria", status=CampaignStatus.SENDING)
    answer = log_in(client, alice).post("/p/empleo/practice/clear", follow_redirects=True).get_data(as_text=True)
    assert "la campaña «Feria» está saliendo" in answer
    assert count(session) == 1


def test_every_training_address_is_explained(client: FlaskClient, bob: User, panel: Panel):
    page = log_in(client, bob).get("/p/empleo/practice/addresses").get_data(as_text=True)
    for local_part in ("practica-451", "practica-451x2", "practica-550", "practica-lento5", "practica-corte-guardado"):
        assert f'<code class="text-nowrap">{local_part}@example.pe</code>' in page


def test_outsiders_see_nothing(client: FlaskClient, panel: Panel, charlie: User):
    assert log_in(client, charlie).get("/p/empleo/practice/").status_code == 404


def test_anonymous_people_are_sent_to_the_log_in(client: FlaskClient, panel: Panel):
    answer = client.get("/p/empleo/practice/")
    assert answer.status_code == 302 and "practica" not in answer.headers["Location"].partition("?")[0]


def test_emptying_needs_the_csrf_token(
    client: FlaskClient, alice: User, panel: Panel, session: scoped_session[Session]
):
    capture(session, panel)
    assert log_in(client, alice).post("/p/empleo/practice/clear").status_code == 400
    assert count(session) == 1
