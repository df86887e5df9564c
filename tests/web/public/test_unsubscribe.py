"""Unsubscribing: at once, without cookies, by the person only; and taking it back."""

import re
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from sqlalchemy import text
from werkzeug.test import Client, TestResponse

from app.config import Settings
from app.flow import composing
from app.flow.sessions import AnySession
from app.models import Campaign
from tests.fixtures.tracking import Sent, events_of

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


def standing(session: AnySession, email: str = "ana@example.pe") -> tuple[dict[str, str], int]:
    """Status by list, and how many suppressions there are for the address."""
    rows = session.execute(
        text(
            "SELECT l.name, s.status FROM subscription s JOIN mailing_list l ON l.id = s.list_id "
            "JOIN contact c ON c.id = s.contact_id WHERE c.email = :email"
        ),
        {"email": email},
    ).all()
    suppressed = session.scalar(text("SELECT count(*) FROM suppression WHERE email = :email"), {"email": email})
    session.rollback()
    return {row.name: row.status for row in rows}, suppressed or 0


ON_BOTH = {"Feria laboral": "subscribed", "Cursos gratuitos": "subscribed"}
OFF_BOTH = {"Feria laboral": "unsubscribed", "Cursos gratuitos": "unsubscribed"}


def undo_token(page: TestResponse) -> str:
    found = re.search(r'name="undo" value="([^"]+)"', page.text)
    assert found is not None, page.text
    return found[1]


def test_get_and_head_never_unsubscribe(session: AnySession, public: Client, sent: Sent) -> None:
    for answer in (public.get(f"/u/{sent.token()}"), public.head(f"/u/{sent.token()}")):
        assert answer.status_code == 200
    public.get(f"/u/{sent.token()}?List-Unsubscribe=One-Click&action=lists")
    assert standing(session) == (ON_BOTH, 0)
    assert events_of(session, sent.campaign_id) == []


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "multipart/form-data"])
def test_one_click_works_at_once_without_cookies(
    session: AnySession, public: Client, sent: Sent, content_type: str
) -> None:
    answer = public.post(f"/u/{sent.token()}", data=ONE_CLICK, content_type=content_type)
    assert answer.status_code == 200
    assert "Set-Cookie" not in answer.headers
    assert standing(session) == (OFF_BOTH, 0)
    assert standing(session, "luis@example.pe") == ({"Feria laboral": "subscribed"}, 0)
    how = session.scalars(
        text("SELECT DISTINCT unsubscribe_source FROM subscription WHERE status = 'unsubscribed'")
    ).all()
    assert how == [f"one-click:{sent.campaign_id}"]


def test_one_click_again_changes_nothing(session: AnySession, public: Client, sent: Sent) -> None:
    for _ in range(3):
        assert public.post(f"/u/{sent.token()}", data=ONE_CLICK).status_code == 200
    assert standing(session) == (OFF_BOTH, 0)
    assert events_of(session, sent.campaign_id) == [("unsubscribe", sent.seqs["ana@example.pe"], None)]
    (engaged,) = session.execute(text("SELECT seq, opens, unsubscribed_at FROM engagement")).all()
    assert (engaged.seq, engaged.opens) == (sent.seqs["ana@example.pe"], 0)
    assert engaged.unsubscribed_at is not None


def test_what_the_signed_header_of_the_mail_names_is_what_works(
    session: AnySession, public: Client, sent: Sent, settings: Settings
) -> None:
    """The List-Unsubscribe of a real message, signed by DKIM (RFC 8058 §4), leads here."""
    campaign = session.get_one(Campaign, sent.campaign_id)
    composition = composing.compile_for(session, settings, campaign)
    message = composition.write(sent.seqs["ana@example.pe"], "ana@example.pe", "Ana", {}).content.decode()
    headers = re.sub(r"\r\n[ \t]+", " ", message.split("\r\n\r\n")[0])
    assert re.search(r"^List-Unsubscribe-Post: List-Unsubscribe=One-Click\r?$", headers, re.MULTILINE)
    signed = re.search(r"^DKIM-Signature:.*\bh=([^;]+);", headers, re.MULTILINE)
    assert signed and {"list-unsubscribe", "list-unsubscribe-post"} <= set(
        re.sub(r"\s", "", signed[1]).lower().split(":")
    )
    link = re.search(r"^List-Unsubscribe:.*?<(http[^>]+)>", headers, re.MULTILINE)
    assert link and link[1].startswith(settings.public_url)
    assert public.post(link[1].removeprefix(settings.public_url), data=ONE_CLICK).status_code == 200
    assert standing(session) == (OFF_BOTH, 0)


@pytest.mark.parametrize(
    "body",
    [{}, {"List-Unsubscribe": "yes"}, {"action": "drop"}, {"action": "undo"}, {"action": "undo", "undo": "x.y.z"}],
)
def test_other_posts_change_nothing(session: AnySession, public: Client, sent: Sent, body: dict[str, str]) -> None:
    assert public.post(f"/u/{sent.token()}", data=body).status_code in (400, 410)
    assert standing(session) == (ON_BOTH, 0)


def test_a_body_beyond_all_bounds_is_refused(session: AnySession, public: Client, sent: Sent) -> None:
    answer = public.post(f"/u/{sent.token()}", data={"action": "lists", "x": "a" * 100_000})
    assert answer.status_code == 413
    assert standing(session) == (ON_BOTH, 0)


def test_a_forged_token_unsubscribes_nobody(session: AnySession, public: Client, sent: Sent) -> None:
    forged = sent.token()[:-1] + ("a" if sent.token()[-1] != "a" else "b")
    assert public.post(f"/u/{forged}", data=ONE_CLICK).status_code == 404
    assert standing(session) == (ON_BOTH, 0)


def test_page_unsubscribes_from_the_campaigns_lists_only(session: AnySession, public: Client, sent: Sent) -> None:
    session.execute(text("INSERT INTO mailing_list (panel_id, name) VALUES (:p, 'Otra lista')"), {"p": sent.panel_id})
    session.execute(
        text(
            "INSERT INTO subscription (list_id, contact_id, status) SELECT l.id, c.id, 'subscribed' "
            "FROM mailing_list l, contact c WHERE l.name = 'Otra lista' AND c.email = 'ana@example.pe'"
        )
    )
    session.commit()
    page = public.post(f"/u/{sent.token()}", data={"action": "lists"})
    assert "Listo: le dimos de baja" in page.text
    assert standing(session) == (OFF_BOTH | {"Otra lista": "subscribed"}, 0)


def test_everything_suppresses_the_address_in_the_panel(session: AnySession, public: Client, sent: Sent) -> None:
    page = public.post(f"/u/{sent.token()}", data={"action": "everything"})
    assert page.status_code == 200
    assert standing(session) == (OFF_BOTH, 1)
    row = session.execute(text("SELECT panel_id, reason, source FROM suppression")).one()
    assert tuple(row) == (sent.panel_id, "unsubscribed", f"page:{sent.campaign_id}")
    assert "Ya no le enviamos correos" in public.get(f"/u/{sent.token()}").text


@pytest.mark.parametrize("action", ["lists", "everything"])
def test_undo_brings_back_exactly_what_was(session: AnySession, public: Client, sent: Sent, action: str) -> None:
    session.execute(
        text(
            "UPDATE subscription s SET status = 'unsubscribed', unsubscribed_at = now() FROM mailing_list l, contact c "
            "WHERE l.id = s.list_id AND c.id = s.contact_id AND l.name = 'Cursos gratuitos'"
        )
    )
    session.commit()
    before = standing(session)
    page = public.post(f"/u/{sent.token()}", data={"action": action})
    assert standing(session)[0] == OFF_BOTH
    back = public.post(f"/u/{sent.token()}", data={"action": "undo", "undo": undo_token(page)})
    assert "Listo: su suscripción sigue activa" in back.text
    assert standing(session) == before
    assert session.scalar(text("SELECT unsubscribed_at FROM engagement")) is None


def test_undo_ends_after_a_quarter_of_an_hour(session: AnySession, public: Client, sent: Sent) -> None:
    page = public.post(f"/u/{sent.token()}", data={"action": "lists"})
    with time_machine.travel(datetime.now(UTC) + timedelta(minutes=16), tick=False):
        late = public.post(f"/u/{sent.token()}", data={"action": "undo", "undo": undo_token(page)})
    assert late.status_code == 410
    assert standing(session) == (OFF_BOTH, 0)


@pytest.mark.parametrize("first", ["lists", "everything"])
@pytest.mark.parametrize("again", [ONE_CLICK, {"action": "lists"}, {"action": "everything"}])
def test_an_old_undo_never_reverts_a_newer_unsubscribing(
    session: AnySession, public: Client, sent: Sent, first: str, again: dict[str, str]
) -> None:
    old = {"action": "undo", "undo": undo_token(public.post(f"/u/{sent.token()}", data={"action": first}))}
    assert public.post(f"/u/{sent.token()}", data=old).status_code == 200
    assert public.post(f"/u/{sent.token()}", data=old).status_code == 200, "a second click is no error"
    assert standing(session) == (ON_BOTH, 0)
    public.post(f"/u/{sent.token()}", data=again)
    gone = standing(session)
    assert gone[0] == OFF_BOTH
    refused = public.post(f"/u/{sent.token()}", data=old)
    assert (refused.status_code, standing(session)) == (410, gone)
    assert session.scalar(text("SELECT unsubscribed_at FROM engagement")) is not None


def test_undo_of_one_person_does_nothing_for_another(session: AnySession, public: Client, sent: Sent) -> None:
    page = public.post(f"/u/{sent.token()}", data={"action": "lists"})
    public.post(f"/u/{sent.token('luis@example.pe')}", data=ONE_CLICK)
    stolen = public.post(f"/u/{sent.token('luis@example.pe')}", data={"action": "undo", "undo": undo_token(page)})
    assert stolen.status_code == 410
    assert standing(session, "luis@example.pe") == ({"Feria laboral": "unsubscribed"}, 0)


def test_undo_never_lifts_a_suppression_that_was_there_before(session: AnySession, public: Client, sent: Sent) -> None:
    session.execute(
        text("INSERT INTO suppression (panel_id, email, reason) VALUES (:p, 'ana@example.pe', 'complaint')"),
        {"p": sent.panel_id},
    )
    session.commit()
    page = public.post(f"/u/{sent.token()}", data={"action": "everything"})
    public.post(f"/u/{sent.token()}", data={"action": "undo", "undo": undo_token(page)})
    assert standing(session) == (ON_BOTH, 1)


def test_a_proof_says_that_it_was_a_test_and_changes_nothing(session: AnySession, public: Client, sent: Sent) -> None:
    assert "Este correo era una prueba" in public.get(f"/u/{sent.proof_token}").text
    assert public.post(f"/u/{sent.proof_token}", data=ONE_CLICK).status_code == 200
    public.post(f"/u/{sent.proof_token}", data={"action": "everything"})
    assert standing(session) == (ON_BOTH, 0)


def test_a_deleted_contact_is_answered_and_one_that_came_back_is_honoured(
    session: AnySession, public: Client, sent: Sent
) -> None:
    session.execute(text("DELETE FROM contact WHERE email = 'ana@example.pe'"))
    session.commit()
    assert public.get(f"/u/{sent.token()}").status_code == 200
    assert public.post(f"/u/{sent.token()}", data=ONE_CLICK).status_code == 200
    session.execute(
        text("INSERT INTO contact (panel_id, email, domain) VALUES (:p, 'ana@example.pe', 'example.pe')"),
        {"p": sent.panel_id},
    )
    session.execute(
        text(
            "INSERT INTO subscription (list_id, contact_id, status) SELECT l.id, c.id, 'subscribed' "
            "FROM mailing_list l, contact c WHERE c.email = 'ana@example.pe'"
        )
    )
    session.commit()
    assert public.post(f"/u/{sent.token()}", data=ONE_CLICK).status_code == 200
    assert standing(session) == (OFF_BOTH, 1), "suppressed when it left, so that no import mails it again"


def test_the_page_shows_panel_and_masked_address_and_loads_nothing_from_elsewhere(public: Client, sent: Sent) -> None:
    page = public.get(f"/u/{sent.token()}")
    assert "Empleo" in page.text and "a•••@example.pe" in page.text
    assert "ana@example.pe" not in page.text
    assert re.findall(r'(?:src|href)="([^"]+)"', page.text) == [
        *re.findall(r'href="(/u/page\.css\?v=[0-9a-f]{12})"', page.text)
    ]
    assert "<script" not in page.text and "<img" not in page.text
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "form-action 'self'" in policy
    assert page.headers["Referrer-Policy"] == "no-referrer" and "no-store" in page.headers["Cache-Control"]
    assert "Set-Cookie" not in page.headers


def test_hostile_names_are_escaped(session: AnySession, public: Client, sent: Sent) -> None:
    session.execute(text("UPDATE mailing_list SET name = '<script>alert(1)</script>' WHERE name = 'Feria laboral'"))
    session.commit()
    assert "<script" not in public.get(f"/u/{sent.token()}").text
