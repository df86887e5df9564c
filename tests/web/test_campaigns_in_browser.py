"""Campaigns in Chromium, under the real policy: the editor's behaviours, the live page moving, nothing that axe objects to."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select, text

from app.flow import sampling
from app.models import Campaign, CampaignStatus
from tests import factories, ledger
from tests.fixtures.laws import arrange

pytestmark = pytest.mark.browser

AXE = Path(__file__).resolve().parents[2] / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture
def page(app, browser, site, alice):
    """A page of Alice's; a test that leaves an error on the console, a refusal by the policy among them, fails."""
    with app.test_request_context():
        serializer = app.session_interface.get_signing_serializer(app)
        cookie = serializer.dumps({"_user_id": alice.get_id(), "_fresh": True})
    context = browser.new_context(base_url=f"{site}/p/empleo/", viewport={"width": 1280, "height": 900}, locale="es-PE")
    context.add_cookies([{"name": "chaski_session", "value": cookie, "url": site}])
    page = context.new_page()
    errors: list[str] = []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    context.close()
    # The browser says so when it keeps a framed mail's script from running, which is what we want of it.
    assert [error for error in errors if not error.startswith("Blocked script execution")] == []


@pytest.fixture
def people(session, panel, settings):
    ledger.sending_domain_with_key(session, panel.id, settings=settings)
    factories.custom_field(session, panel, "region", label="Región")
    row = factories.mailing_list(session, panel)
    for name in ("ana", "beto"):
        factories.contact(session, panel, f"{name}@example.pe", row, name=name.capitalize(), fields={"region": "Cusco"})
    return row


@pytest.fixture
def draft(session, panel, people):
    return factories.campaign(session, panel, people)


def objections(page) -> list[str]:
    """What axe-core finds on the page (the framed mails are their authors')."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run({iframes: false}).then(r => r.violations)")
    return [f"{one['id']}: {one['nodes'][0]['target']}" for one in found]


def test_field_is_inserted_where_the_cursor_is_and_the_preview_follows(page, draft):
    page.goto(f"campaigns/{draft.id}/edit")
    page.fill("#subject", "Hola ")
    page.focus("#subject")
    page.keyboard.press("End")
    page.click("button:has-text('Región')")
    assert page.input_value("#subject") == "Hola {{ region }}"
    page.fill("#html", "<p style='color:rgb(1,2,3)'>Saludos desde {{ region }}, {{ nombre }}</p>")
    frame = page.frame_locator("[data-preview] iframe:not(.is-loading)")
    frame.locator("text=Saludos desde Cusco, Ana").wait_for(timeout=5000)
    assert frame.locator("p").evaluate("e => getComputedStyle(e).color") == "rgb(1, 2, 3)"
    page.click("button:has-text('Teléfono')")
    assert page.locator("[data-preview] iframe").bounding_box()["width"] <= 375
    page.click("summary:has-text('Parte de texto')")
    page.locator("[data-auto-text]:has-text('Saludos desde {{ region }}')").wait_for(timeout=5000)


def test_script_in_the_mail_does_not_run_in_the_preview(page, draft):
    page.goto(f"campaigns/{draft.id}/edit")
    page.fill("#html", "<p id=here>antes</p><script>document.getElementById('here').textContent = 'corrió'</script>")
    frame = page.frame_locator("[data-preview] iframe:not(.is-loading)")
    frame.locator("#here").wait_for(timeout=5000)
    page.wait_for_timeout(200)
    assert frame.locator("#here").text_content() == "antes"


def test_size_is_written_as_people_in_peru_write_numbers(page, draft):
    page.goto(f"campaigns/{draft.id}/edit")
    page.fill("#html", "x" * 1_234_500)
    assert page.locator("[data-size]").text_content().endswith(": 1,234.5 kB")


def test_preview_leaves_no_trace_in_the_browsers_history(page, draft):
    page.goto("campaigns")
    page.goto(f"campaigns/{draft.id}/edit")
    length = page.evaluate("history.length")
    for number in range(3):
        page.fill("#html", f"<p>versión {number}</p>")
        page.frame_locator("[data-preview] iframe:not(.is-loading)").locator(f"text=versión {number}").wait_for()
    assert page.evaluate("history.length") == length


def test_leaving_with_unsaved_changes_asks_first_and_saving_does_not(page, draft):
    asked: list[str] = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    page.goto(f"campaigns/{draft.id}/edit")
    page.goto("campaigns")
    assert asked == []
    page.goto(f"campaigns/{draft.id}/edit")
    page.fill("#name", "Otro nombre")
    assert page.locator("[data-unsaved]").is_visible()
    page.goto("campaigns")
    assert asked == ["beforeunload"]
    page.goto(f"campaigns/{draft.id}/edit")
    page.fill("#name", "Otro nombre")
    page.click("button:has-text('Guardar') >> nth=0")
    page.locator("text=Guardado.").wait_for()
    assert asked == ["beforeunload"]


def test_broken_template_brings_the_cursor_to_its_place(page, draft):
    page.goto(f"campaigns/{draft.id}/edit")
    page.fill("#html", "<p>uno</p>\n<p>dos {{ nombr }}</p>")
    page.click("button:has-text('Guardar') >> nth=0")
    page.locator("#html-error").wait_for()
    page.wait_for_function(  # By a script, a moment after the page.
        "() => { const e = document.getElementById('html');"
        " return e.value.slice(e.selectionStart, e.selectionEnd).startsWith('nombr }}') }",
        timeout=5000,
    )
    assert objections(page) == []


IN_SIGHT = """selector => { const e = document.querySelector(selector), r = e.getBoundingClientRect();
    return document.elementFromPoint(r.left + r.width / 2, r.top + 1) === e }"""


@pytest.mark.parametrize("width", [1280, 360])
def test_notice_of_a_refusal_leads_to_the_field_and_nothing_covers_it(page, draft, width):
    page.set_viewport_size({"width": width, "height": 720})
    page.goto(f"campaigns/{draft.id}/edit")
    page.fill("#subject", "{{ nombre")
    page.click("button:has-text('Guardar') >> nth=0")
    notice = page.get_by_role("alert").filter(has_text="No se guardó nada todavía")
    notice.wait_for()
    assert notice.evaluate("e => e === document.activeElement"), "who cannot see the page hears it first"
    notice.get_by_role("link", name="Asunto").click()
    page.wait_for_function(IN_SIGHT, arg="#subject", timeout=3000)  # The page scrolls there smoothly.
    assert objections(page) == []


@pytest.mark.parametrize("width", [1280, 360])
def test_fields_to_insert_stay_in_sight_while_the_html_scrolls(page, draft, width):
    page.set_viewport_size({"width": width, "height": 720})
    page.goto(f"campaigns/{draft.id}/edit")
    page.evaluate("window.scrollTo(0, document.getElementById('html').getBoundingClientRect().top + scrollY - 100)")
    page.wait_for_function(IN_SIGHT, arg=".merge-toolbar button", timeout=3000)
    assert page.locator(".panel-bar").bounding_box()["y"] == 0


def test_from_writing_to_scheduled_by_hand(page, session, people):
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto("campaigns")
    page.click("text=Escribir la primera campaña")
    page.fill("#name", "Feria de noviembre")
    page.fill("#from_name", "Bolsa de empleo")
    page.fill("#from_local", "noticias")
    page.locator("text=2 suscritos").wait_for()
    page.check("label:has-text('Feria laboral')")
    page.fill("#subject", "Hola {{ nombre }}")
    page.click("button:has-text('Guardar y probar')")
    page.locator("dd:has-text('Ana <ana@example.pe>') >> nth=0").wait_for()
    page.click("text=Siguiente")
    page.locator("dd:has-text('Beto <beto@example.pe>') >> nth=0").wait_for()
    page.click("button:has-text('Enviar prueba')")
    page.locator(".proofs >> text=En cola").wait_for()
    page.click("text=Revisar y enviar")
    assert page.locator("[data-recipients]").text_content() == "2"
    assert objections(page) == []
    page.click("button:has-text('Enviar ahora')")
    page.locator("button:has-text('Volver a borrador')").wait_for()
    assert session.scalar(select(Campaign.status)) is CampaignStatus.SCHEDULED


@pytest.mark.parametrize("width", [360, 1280])
def test_answer_to_a_proof_comes_where_the_button_is(page, session, draft, width):
    page.set_viewport_size({"width": width, "height": 700})
    page.goto(f"campaigns/{draft.id}/preview")
    box = page.get_by_label("Enviar la prueba a")
    box.fill("esto no es, una dirección")
    page.click("button:has-text('Enviar prueba')")
    page.locator("#addresses-error").wait_for()
    assert box.input_value() == "esto no es, una dirección"
    page.wait_for_function("() => document.activeElement.id === 'addresses'", timeout=3000)
    assert objections(page) == []
    box.fill("yo@example.pe")
    page.click("button:has-text('Enviar prueba')")
    answer = page.locator("#proof-answer")
    answer.wait_for()
    assert "en cola para yo@example.pe" in answer.text_content()
    page.wait_for_function("() => document.activeElement.id === 'proof-answer'", timeout=3000)
    page.wait_for_function(  # The page may still be scrolling there.
        "() => { const r = document.getElementById('proof-answer').getBoundingClientRect();"
        " return r.top >= 0 && r.bottom <= innerHeight }",
        timeout=3000,
    )
    assert objections(page) == []


def test_person_decides_about_what_no_relay_can_tell(page, session, panel, draft):
    factories.relay(session, panel, 2525)
    ledger.freeze(session, draft, ["accepted", "unknown"], relay_id=7, unknown_at=datetime(2026, 1, 1, tzinfo=UTC))
    page.goto(f"campaigns/{draft.id}")
    asked = []
    page.once("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    page.click("#do-settle-again")
    page.wait_for_timeout(300)
    assert "dos veces" in asked[0]
    assert session.scalar(text("SELECT count(*) FROM delivery WHERE status = 'unknown'")) == 1
    session.rollback()
    page.once("dialog", lambda dialog: dialog.accept())
    page.click("#do-settle-again")
    page.locator("text=Se enviarán otra vez: 1.").wait_for()
    assert session.scalar(text("SELECT count(*) FROM delivery WHERE status = 'deferred'")) == 1


def test_live_page_moves_by_itself_and_shows_the_plot(page, session, draft):
    ledger.freeze(session, draft, ["planned"] * 8)
    sampling.sample(session, draft.id)
    page.goto(f"campaigns/{draft.id}")
    assert page.locator("#f-waiting").text_content() == "8"
    arrange(session)
    session.execute(
        text("UPDATE delivery SET status = 'accepted' WHERE campaign_id = :c AND seq <= 4"), {"c": draft.id}
    )
    session.execute(text("UPDATE batch SET planned = 0, accepted = 4 WHERE first_seq = 1"))
    session.execute(
        text("INSERT INTO campaign_sample VALUES (:c, now() + interval '3 seconds', 4, 4)"), {"c": draft.id}
    )
    session.commit()
    page.locator("#f-accepted:has-text('4')").wait_for(timeout=6000)
    page.locator("[data-plot=live] canvas").wait_for(timeout=6000)
    assert objections(page) == []
    page.focus("#f-accepted")
    page.wait_for_timeout(3000)
    assert page.evaluate("document.activeElement.id") == "f-accepted"


@pytest.mark.parametrize("width", [360, 1280])
def test_no_page_scrolls_sideways_or_breaks_a_rule_of_accessibility(page, session, panel, people, width):
    done = factories.campaign(session, panel, people, name="Una campaña con un nombre bastante largo para un teléfono")
    ledger.freeze(session, done, ["accepted"] * 5 + ["bounced", "skipped:suppressed"], status=CampaignStatus.FINISHED)
    draft = factories.campaign(session, panel, people)
    paused = factories.campaign(session, panel, people)
    unsure = factories.campaign(session, panel, people)
    ledger.freeze(session, unsure, ["unknown"], relay_id=7, unknown_at=datetime(2026, 1, 1, tzinfo=UTC))
    ledger.freeze(session, paused, ["planned"], status=CampaignStatus.PAUSED)
    session.execute(text("UPDATE campaign SET status_reason = 'relay_failures:421 no' WHERE status = 'paused'"))
    session.commit()
    page.set_viewport_size({"width": width, "height": 800})
    paths = [
        "campaigns", "campaigns?q=zzz", "campaigns/new", f"campaigns/{draft.id}/edit", f"campaigns/{draft.id}/preview",
        f"campaigns/{draft.id}/review", f"campaigns/{done.id}", f"campaigns/{unsure.id}", f"campaigns/{paused.id}",
        f"campaigns/{done.id}/report",
        f"campaigns/{done.id}/recipients", f"campaigns/{done.id}/recipients/1",
    ]  # fmt: skip
    for path in paths:
        page.goto(path)
        page.wait_for_load_state("networkidle")
        assert objections(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path


@pytest.mark.parametrize("width", [360, 414, 1280])
def test_refused_time_is_told_at_the_top_and_the_field_has_the_focus(page, draft, width):
    page.set_viewport_size({"width": width, "height": 720})
    page.goto(f"campaigns/{draft.id}/review")
    page.fill("#at", "2020-01-01T10:00")
    page.click("button:has-text('Programar')")
    notice = page.get_by_role("alert").filter(has_text="La campaña no se programó")
    notice.wait_for()
    page.wait_for_function(  # The page may still be scrolling there.
        "() => { const r = document.activeElement.getBoundingClientRect();"
        " return document.activeElement.id === 'at' && r.top >= 0 && r.bottom <= innerHeight }",
        timeout=3000,
    )
    assert page.locator("#at").bounding_box()["width"] >= 230, "a date and its time, in full"
    assert page.input_value("#at") == "2020-01-01T10:00"
    assert objections(page) == []
    notice.get_by_role("link", name="Programar para").click()
    assert page.reload().status == 200, "the address can be opened again"
    assert not notice.is_visible()


def test_tabs_of_a_phone_say_that_there_are_more_and_show_the_one_that_is_open(page, session, draft):
    ledger.freeze(session, draft, ["planned"] * 8)
    page.set_viewport_size({"width": 360, "height": 720})
    tabs = page.locator("#campaign-tabs")
    for step in ("", "/report", "/recipients", "/preview"):
        page.goto(f"campaigns/{draft.id}{step}")
        page.wait_for_load_state("load")
        assert tabs.evaluate("e => e.scrollWidth > e.clientWidth"), "else this test sees nothing"
        assert "gradient" in tabs.evaluate("e => getComputedStyle(e).backgroundImage")
        row, open_one = tabs.bounding_box(), page.locator("#campaign-tabs .active").bounding_box()
        assert row["x"] - 1 <= open_one["x"] <= row["x"] + row["width"] - open_one["width"] + 1
        assert page.evaluate("scrollY") == 0, "the page itself stays where it begins"


def test_tabs_stay_where_a_person_moved_them_while_the_page_follows_the_sending(page, session, draft):
    ledger.freeze(session, draft, ["planned"] * 8)
    page.set_viewport_size({"width": 360, "height": 720})
    page.goto(f"campaigns/{draft.id}")
    page.wait_for_load_state("load")
    page.locator("#campaign-tabs").evaluate("e => { e.scrollLeft = 40; e.dataset.old = 'yes' }")
    page.locator("#campaign-tabs:not([data-old])").wait_for(timeout=6000)
    page.wait_for_timeout(200)
    assert page.locator("#campaign-tabs").evaluate("e => e.scrollLeft") == 40
