"""The pages of campaigns: who may do what, what bad input gets, what is shown."""

import csv
import io
import re
from datetime import UTC, datetime, timedelta

import pytest
from flask import url_for
from sqlalchemy import select, text

from app.flow import campaigns, events
from app.models import (
    Campaign,
    CampaignLink,
    CampaignStatus,
    Engagement,
    PanelMode,
    Proof,
    Relay,
    RelaySecurity,
    SubscriptionStatus,
    Suppression,
    SuppressionReason,
)
from tests import factories, ledger
from tests.fixtures.app import log_in
from tests.fixtures.laws import arrange

BASE = "/p/empleo/campaigns"


@pytest.fixture
def people(session, panel):
    row = factories.mailing_list(session, panel)
    for name in ("ana", "beto", "carla"):
        factories.contact(session, panel, f"{name}@example.pe", row, name=name.capitalize())
    return row


@pytest.fixture
def domain(session, panel, settings):
    return ledger.sending_domain_with_key(session, panel.id, settings=settings)


@pytest.fixture
def draft(session, panel, domain, people):
    return factories.campaign(session, panel, people)


@pytest.fixture
def manager(client, alice):
    return log_in(client, alice)


@pytest.fixture
def editor(app, session, panel):
    return log_in(app.test_client(), factories.user(session, "elena@example.pe", panel, "editor"))


@pytest.fixture
def viewer(app, bob):
    return log_in(app.test_client(), bob)


@pytest.fixture
def running(session, draft):
    ledger.freeze(
        session,
        draft,
        ["planned", "accepted", "accepted", "deferred", "bounced", "failed", "skipped:suppressed", "unknown"],
    )
    return draft


def written(**values):
    return {
        "name": "Feria",
        "subject": "Hola {{ nombre }}",
        "from_name": "Bolsa de empleo",
        "from_local": "noticias",
        "from_domain": "boletin.example.gob.pe",
        "html": "<p>Hola {{ nombre }}</p>",
        **values,
    }


@pytest.fixture(autouse=True)
def no_csrf(app):
    """Posting in these tests goes without the page's token; tests of their own hold that it is asked for."""
    app.config["WTF_CSRF_ENABLED"] = False


class TestWriting:
    def test_empty_panel_says_what_to_do_next(self, manager, panel):
        page = manager.get(BASE).text
        assert "Todavía no hay campañas" in page
        assert f"{BASE}/new" in page

    def test_new_campaign_starts_with_a_sound_template(self, manager, settings, session, panel, domain):
        page = manager.get(f"{BASE}/new").text
        assert "{{ enlace_baja }}" in page
        from app.web.campaigns.writing import STARTER

        answer = manager.post(f"{BASE}/new", data=written(html=STARTER.read_text()))
        assert answer.status_code == 302

    def test_saved_campaign_is_shown_again_as_it_was_written(self, manager, session, draft, people):
        answer = manager.post(
            f"{BASE}/{draft.id}/edit", data=written(name="Otra", list_ids=[people.id], text="Solo texto")
        )
        assert answer.status_code == 302
        page = manager.get(f"{BASE}/{draft.id}/edit").text
        assert 'value="Otra"' in page
        assert "Solo texto" in page
        assert re.search(rf'name="list_ids" value="{people.id}" checked', page)

    def test_broken_template_is_refused_with_place_and_the_text_is_kept(self, manager, session, draft):
        mine = "<p>mi texto largo</p>\n  {{ nombr }}"
        answer = manager.post(f"{BASE}/{draft.id}/edit", data=written(html=mine))
        assert answer.status_code == 200
        assert "mi texto largo" in answer.text
        assert "Línea 2, columna 6: No existe el campo «nombr». ¿Quiso decir «nombre»?" in answer.text
        session.expire_all()
        assert "mi texto" not in draft.html

    def test_header_injection_is_refused_beside_the_field(self, manager, session, draft):
        answer = manager.post(f"{BASE}/{draft.id}/edit", data=written(subject="Hola\r\nBcc: x@example.com"))
        assert answer.status_code == 200
        assert "Aquí no puede haber saltos de línea" in answer.text
        assert session.get(Campaign, draft.id).subject == "Hola {{ nombre }}"

    @pytest.mark.parametrize(
        ("values", "sentence"),
        [
            ({"from_domain": "otro.example.gob.pe"}, "no es un dominio de envío de esta plataforma"),
            ({"from_domain": "example.com"}, "solo envía desde dominios que terminan en gob.pe"),
            ({"from_local": "a b"}, "Tiene espacios"),
            ({"from_local": "x@example.com"}, "solo envía desde dominios que terminan en gob.pe"),
            ({"reply_to": "nadie"}, "Le falta la arroba"),
            ({"rate_per_hour": "0"}, "Escriba un número de 1 en adelante"),
            ({"list_ids": ["99999"]}, "ya no existe o está archivada"),
            ({"name": ""}, "Escriba un nombre"),
        ],
    )
    def test_what_is_refused_says_why(self, manager, draft, values, sentence):
        answer = manager.post(f"{BASE}/{draft.id}/edit", data=written(**values))
        assert answer.status_code == 200
        assert sentence in answer.text

    @pytest.mark.parametrize("values", [{"rate_per_hour": "mucho"}, {"list_ids": ["uno"]}])
    def test_what_is_no_number_is_refused_and_not_an_error(self, manager, draft, values):
        answer = manager.post(f"{BASE}/{draft.id}/edit", data=written(**values))
        assert answer.status_code == 200
        assert "invalid-feedback" in answer.text

    def test_save_over_somebody_elses_save_keeps_the_authors_text_on_the_page(
        self, manager, session, settings, panel, draft
    ):
        stale = (draft.updated_at - timedelta(minutes=1)).isoformat()
        answer = manager.post(f"{BASE}/{draft.id}/edit", data=written(html="<p>lo mío</p>", read_at=stale))
        assert "Otra persona guardó esta campaña" in answer.text
        assert "lo mío" in answer.text

    def test_live_preview_is_the_mail_with_a_contacts_values_in_an_origin_of_its_own(self, editor, draft, people):
        answer = editor.post(
            f"{BASE}/live-preview", data={"html": "<p>Hola {{ nombre }}</p><script>x()</script>", "list_ids": people.id}
        )
        assert "<p>Hola Ana</p>" in answer.text
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("sandbox;")
        assert "script-src" not in policy
        assert "default-src 'none'" in policy

    def test_live_preview_escapes_what_contacts_hold(self, editor, session, panel, people):
        factories.contact(session, panel, "aaa@example.pe", name="<img src=x onerror=alert(1)>")
        factories.mailing_list(session, panel, "x")
        answer = editor.post(f"{BASE}/live-preview", data={"html": "{{ nombre }}"})
        assert "<img" not in answer.text

    def test_live_subject_has_a_contacts_values(self, editor, panel, people):
        asked = {"subject": "{{ nombre|default('Hola') }} & más", "list_ids": people.id}
        answer = editor.post(f"{BASE}/live-subject", data=asked)
        assert answer.mimetype == "text/plain"
        assert answer.text.endswith(" & más") and "{{" not in answer.text

    def test_live_subject_with_a_problem_stays_as_it_is_written(self, editor, panel):
        assert editor.post(f"{BASE}/live-subject", data={"subject": "{{ nada }}"}).text == "{{ nada }}"

    def test_live_preview_of_a_mail_too_large_says_so(self, editor, session, panel, people):
        factories.custom_field(session, panel, "nota")
        session.execute(text("UPDATE contact SET fields = jsonb_build_object('nota', repeat('\"', 20000))"))
        session.commit()
        answer = editor.post(f"{BASE}/live-preview", data={"html": "{{ nota }}" * 450, "list_ids": people.id})
        assert answer.status_code == 200
        assert "pasaría de 2000000 bytes" in answer.text
        assert len(answer.text) < 5_000

    def test_live_preview_of_a_broken_template_says_what_is_wrong(self, editor, panel):
        answer = editor.post(f"{BASE}/live-preview", data={"html": "{{ nada }}"})
        assert "No existe el campo «nada»" in answer.text
        assert answer.headers["Content-Security-Policy"].startswith("sandbox;")

    def test_text_part_is_made_from_the_html(self, editor, panel):
        answer = editor.post(f"{BASE}/text-part", data={"html": "<h1>Feria</h1><p>Hola {{ nombre }}</p>"})
        assert answer.mimetype == "text/plain"
        assert "Hola {{ nombre }}" in answer.text
        assert "<" not in answer.text

    def test_lists_are_told_with_their_subscribed_people(self, editor, session, panel, people):
        factories.contact(session, panel, "ida@example.pe", people, status=SubscriptionStatus.UNSUBSCRIBED)
        assert "3 suscritos" in editor.get(f"{BASE}/list-sizes").text

    def test_duplicate_leads_to_the_copy(self, manager, session, running):
        answer = manager.post(f"{BASE}/{running.id}/duplicate")
        copy = session.scalar(select(Campaign).order_by(Campaign.id.desc()))
        assert answer.location.endswith(f"/{copy.id}/edit")
        assert copy.name == "Copia de Feria de empleo"

    def test_draft_is_deleted_and_a_sent_campaign_is_not(self, manager, session, panel, draft):
        assert manager.post(f"{BASE}/{draft.id}/delete").location.endswith("/campaigns")
        assert session.scalar(select(Campaign.id)) is None
        sent = factories.campaign(session, panel)
        ledger.freeze(session, sent, ["accepted"], status=CampaignStatus.FINISHED)
        manager.post(f"{BASE}/{sent.id}/delete")
        assert session.scalar(select(Campaign.id)) == sent.id

    def test_list_is_filtered_searched_and_sorted(self, manager, session, panel):
        for name in ("Beta", "Alfa", "Gama"):
            factories.campaign(session, panel, name=name)
        arrange(session)
        session.execute(text("UPDATE campaign SET status = 'finished' WHERE name = 'Gama'"))
        session.commit()
        names = re.compile(r"/edit\">(\w+)</a>|/campaigns/\d+\">(\w+)</a>")

        def shown(query):
            return [a or b for a, b in names.findall(manager.get(f"{BASE}?{query}").text)]

        assert shown("sort=name") == ["Alfa", "Beta", "Gama"]
        assert shown("sort=-name") == ["Gama", "Beta", "Alfa"]
        assert shown("status=finished") == ["Gama"]
        assert shown("q=alf") == ["Alfa"]
        assert shown("q=%25") == []
        assert "Ninguna campaña coincide" in manager.get(f"{BASE}?q=zzz").text

    def test_list_fetches_only_its_table_again(self, manager, running):
        part = manager.get(BASE, headers={"HX-Request": "true"}).text
        assert "Feria de empleo" in part
        assert "<html" not in part


class TestLooking:
    def test_preview_is_the_mail_of_a_real_contact(self, manager, session, draft, people):
        ana, beto, _carla = session.scalars(text("SELECT id FROM contact ORDER BY id")).all()
        page = manager.get(f"{BASE}/{draft.id}/preview").text
        assert "Hola Ana" in page
        assert "Bolsa de empleo &lt;noticias@boletin.example.gob.pe&gt;" in page
        assert "List-Unsubscribe-Post" in page
        assert f"contact={beto}" in page
        assert f"contact={ana}" not in page.replace(f"message?contact={ana}", "")
        frame = manager.get(f"{BASE}/{draft.id}/preview/message?contact={beto}")
        assert "Hola Beto" in frame.text
        assert "<img" not in frame.text  # The open pixel: looking at a preview asks no tracking host for anything.
        assert frame.headers["Content-Security-Policy"].startswith("sandbox;")

    def test_preheader_may_hold_merge_fields_with_quotation_marks(self, manager, session, draft, people):
        draft.preheader = 'Para {{ nombre|default("usted") }} & <b>todos</b>'
        session.commit()
        frame = manager.get(f"{BASE}/{draft.id}/preview/message").text
        assert "Para Ana &amp; &lt;b&gt;todos&lt;/b&gt;" in frame

    def test_contact_is_searched_in_the_lists(self, manager, session, panel, draft):
        factories.contact(session, panel, "carlos@example.pe", name="Carlos")
        page = manager.get(f"{BASE}/{draft.id}/preview?q=car").text
        assert "carla@example.pe" in page
        assert "carlos@example.pe" not in page

    def test_incomplete_draft_says_what_is_missing_for_a_preview(self, manager, session, panel):
        draft = factories.campaign(session, panel, from_email="")
        assert "Elija primero la dirección del remitente" in manager.get(f"{BASE}/{draft.id}/preview").text

    def test_preview_as_another_panels_contact_is_404(self, manager, session, draft, other_panel):
        stranger = factories.contact(session, other_panel, "x@example.pe")
        for path in ("preview", "preview/message"):
            assert manager.get(f"{BASE}/{draft.id}/{path}?contact={stranger.id}").status_code == 404
        answer = manager.post(f"{BASE}/{draft.id}/proof", data={"addresses": "a@example.pe", "contact_id": stranger.id})
        assert answer.status_code == 404

    def test_proofs_are_queued_once_per_address(self, manager, session, draft):
        manager.post(f"{BASE}/{draft.id}/proof", data={"addresses": "Yo@Example.pe, otra@example.pe; yo@example.pe"})
        rows = session.scalars(select(Proof).order_by(Proof.id)).all()
        assert [row.email for row in rows] == ["yo@example.pe", "otra@example.pe"]
        assert {row.status for row in rows} == {"queued"}
        assert "En cola" in manager.get(f"{BASE}/{draft.id}/proofs").text

    @pytest.mark.parametrize(
        ("addresses", "sentence"),
        [
            ("", "Escriba al menos una dirección"),
            ("no-es", "Le falta la arroba"),
            (" ".join(f"p{n}@example.pe" for n in range(11)), "a 10 direcciones como máximo"),
            ("baja@example.pe", "lista de supresión"),
        ],
    )
    def test_proof_that_may_not_be_sent_is_refused(self, manager, session, panel, draft, addresses, sentence):
        session.add(Suppression(panel_id=None, email="baja@example.pe", reason=SuppressionReason.COMPLAINT))
        session.commit()
        page = manager.post(f"{BASE}/{draft.id}/proof", data={"addresses": addresses}, follow_redirects=True).text
        assert sentence in page
        assert f'value="{addresses}"' in page, "what was typed is kept"
        assert session.scalar(select(Proof.id)) is None

    def test_proofs_have_a_limit_per_hour(self, manager, session, panel, draft):
        session.execute(
            text(
                "INSERT INTO proof (panel_id, campaign_id, email, status) "
                "SELECT :p, :c, 'a@example.pe', 'accepted' FROM generate_series(1, 200)"
            ),
            {"p": panel.id, "c": draft.id},
        )
        session.commit()
        page = manager.post(f"{BASE}/{draft.id}/proof", data={"addresses": "a@example.pe"}, follow_redirects=True).text
        assert "ya envió 200 pruebas" in page

    def test_proof_leads_into_the_practice_mailbox(self, manager, session, settings, panel, draft):
        from app.flow import composing, previews
        from app.mail.tokens import TokenPurpose, make_token, message_id
        from app.models import PracticeMessage

        (proof,) = previews.request_proofs(session, panel.id, draft.id, ["yo@example.pe"])
        token = make_token(composing.token_key(settings), draft.id, proof.id, purpose=TokenPurpose.PROOF)
        sent = PracticeMessage(
            panel_id=panel.id,
            message_id=message_id(token, "boletin.example.gob.pe"),
            mail_from="x",
            rcpt_to="y",
            size_bytes=1,
            raw=b"x",
        )
        session.add(sent)
        session.commit()
        assert previews.captured_proofs(session, settings, draft, [proof]) == {proof.id: sent.id}


class TestReview:
    def test_exact_number_of_recipients_over_several_lists(self, manager, session, panel, draft, people):
        other = factories.mailing_list(session, panel, "Segunda")
        factories.contact(session, panel, "doble@example.pe", people, other)
        factories.contact(session, panel, "ida@example.pe", people, status=SubscriptionStatus.UNSUBSCRIBED)
        factories.contact(session, panel, "queja@example.pe", other)
        session.add(Suppression(panel_id=None, email="queja@example.pe", reason=SuppressionReason.COMPLAINT))
        back = factories.contact(session, panel, "vuelve@example.pe", people, status=SubscriptionStatus.UNSUBSCRIBED)
        session.execute(
            text("INSERT INTO subscription (list_id, contact_id, status) VALUES (:l, :c, 'subscribed')"),
            {"l": other.id, "c": back.id},
        )
        draft.lists.append(other)
        session.commit()
        page = manager.get(f"{BASE}/{draft.id}/review").text
        assert re.search(r"data-recipients>5<", page)  # ana, beto, carla, doble, vuelve

    def test_large_audience_is_counted_after_the_page_stands(self, manager, session, draft, monkeypatch):
        from app.flow import review

        monkeypatch.setattr(review, "QUICK_MEMBERSHIPS", 2)
        page = manager.get(f"{BASE}/{draft.id}/review").text
        assert "Contando quién lo recibe" in page
        assert "data-recipients" not in page
        assert re.search(r"data-recipients>3<", manager.get(f"{BASE}/{draft.id}/review?whole=1").text)

    def test_missing_fields_are_counted_among_recipients_only(self, manager, session, panel, draft, people):
        factories.custom_field(session, panel, "region")
        factories.contact(session, panel, "con@example.pe", people, name="Con", fields={"region": "Lima"})
        factories.contact(session, panel, "fuera@example.pe", people, status=SubscriptionStatus.UNSUBSCRIBED)
        draft.html = "{{ nombre }} {{ region }}"
        session.commit()
        page = manager.get(f"{BASE}/{draft.id}/review").text
        assert "3 destinatarios no tienen «region»" in page
        assert "no tienen «nombre»" not in page

    def test_review_says_what_is_wrong_and_offers_no_sending(self, manager, session, panel, draft):
        draft.subject = ""
        session.commit()
        page = manager.get(f"{BASE}/{draft.id}/review").text
        assert "Falta el asunto" in page
        assert "/send" not in page
        answer = manager.post(f"{BASE}/{draft.id}/send", follow_redirects=True)
        assert "La campaña todavía no se puede enviar. Falta el asunto." in answer.text
        session.expire_all()
        assert draft.status is CampaignStatus.DRAFT

    def test_mode_is_said_clearly(self, manager, session, panel, draft):
        assert "no llegan a ninguna persona" in manager.get(f"{BASE}/{draft.id}/review").text
        relay = Relay(name="Principal", host="127.0.0.1", port=25, security=RelaySecurity.NONE)
        panel.relay, panel.mode = relay, PanelMode.REAL
        session.commit()
        page = manager.get(f"{BASE}/{draft.id}/review").text
        assert "3 personas recibirán este correo por el relay «Principal»" in page

    def test_links_and_unsubscribing_are_shown(self, manager, session, draft):
        page = manager.get(f"{BASE}/{draft.id}/review").text
        assert "https://example.pe/feria" in page
        assert "se agrega al pie" in page


class TestScheduling:
    def test_next_hour_of_the_panels_clock_is_offered_beside_the_name_of_its_city(self, manager, session, panel, draft):
        panel.timezone = "Asia/Tokyo"
        session.commit()
        page = manager.get(f"{BASE}/{draft.id}/review?whole=1").text
        offered = re.search(r'name="at"[^>]*value="([^"]+)"', page)[1]
        ahead = datetime.fromisoformat(offered) - (datetime.now(UTC) + timedelta(hours=9)).replace(tzinfo=None)
        assert offered.endswith(":00")
        assert timedelta(minutes=25) < ahead < timedelta(minutes=95)
        assert "Hora de Tokio." in page
        manager.post(f"{BASE}/{draft.id}/schedule", data={"at": offered})
        session.expire_all()
        assert draft.status is CampaignStatus.SCHEDULED

    def test_time_is_read_in_the_panels_zone(self, manager, session, panel, draft):
        panel.timezone = "America/Lima"
        session.commit()
        at = (datetime.now(UTC) + timedelta(days=3)).replace(second=0, microsecond=0)
        local = at - timedelta(hours=5)
        manager.post(f"{BASE}/{draft.id}/schedule", data={"at": f"{local:%Y-%m-%dT%H:%M}"})
        session.expire_all()
        assert (draft.status, draft.scheduled_at) == (CampaignStatus.SCHEDULED, at)

    @pytest.mark.parametrize(
        ("at", "sentence"),
        [
            ("2020-01-01T10:00", "Esa hora ya pasó"),
            ("", "Elija la fecha y la hora"),
            ("mañana", "Elija la fecha y la hora"),
            ("2999-01-01T10:00", "dentro de los próximos dos años"),
        ],
    )
    def test_time_that_can_not_be_is_refused_beside_the_field(self, manager, session, draft, at, sentence):
        page = manager.post(f"{BASE}/{draft.id}/schedule", data={"at": at}, follow_redirects=True)
        assert page.status_code == 200
        assert page.request.path.endswith(f"{BASE}/{draft.id}/review"), "an address that can be opened again"
        assert page.text.count(sentence) == 2, "at the top and beside the field"
        assert f'value="{at}"' in page.text
        session.expire_all()
        assert draft.status is CampaignStatus.DRAFT

    def test_refused_time_is_told_once_and_about_its_campaign_only(self, manager, session, panel, draft):
        other = factories.campaign(session, panel)
        for looked_at in (draft, other):
            manager.post(f"{BASE}/{draft.id}/schedule", data={"at": "2020-01-01T10:00"})
            told = "Esa hora ya pasó" in manager.get(f"{BASE}/{looked_at.id}/review?whole=1").text
            assert told is (looked_at is draft)
            assert "Esa hora ya pasó" not in manager.get(f"{BASE}/{draft.id}/review?whole=1").text

    def test_hour_that_the_clocks_skip_is_refused_and_one_they_show_twice_is_the_first(self):
        with pytest.raises(campaigns.CampaignProblem, match="time_skipped"):
            campaigns.moment_in_zone(datetime(2027, 3, 14, 2, 30), "America/New_York")  # noqa: DTZ001
        twice = campaigns.moment_in_zone(datetime(2027, 11, 7, 1, 30), "America/New_York")  # noqa: DTZ001
        assert twice == datetime(2027, 11, 7, 5, 30, tzinfo=UTC)

    def test_send_now_then_back_to_draft(self, manager, session, draft):
        answer = manager.post(f"{BASE}/{draft.id}/send")
        assert answer.location.endswith(f"/campaigns/{draft.id}")
        assert "Volver a borrador" in manager.get(answer.location).text
        manager.post(f"{BASE}/{draft.id}/unschedule")
        session.expire_all()
        assert draft.status is CampaignStatus.DRAFT

    def test_pressing_twice_tells_where_the_campaign_stands(self, manager, draft):
        manager.post(f"{BASE}/{draft.id}/send")
        page = manager.post(f"{BASE}/{draft.id}/send", follow_redirects=True).text
        assert "La campaña está programada: esta acción ya no es posible" in page


class TestWatching:
    def test_figures_are_those_of_the_ledger_and_lead_to_the_rows(self, manager, running):
        page = manager.get(f"{BASE}/{running.id}").text
        figures = dict(re.findall(r'status=(\w+)" id="f-\w+">([\d.,]+)<', page))
        assert figures == {
            "waiting": "1", "accepted": "2", "deferred": "1", "bounced": "1", "failed": "1", "skipped": "1", "unknown": "1"
        }  # fmt: skip
        for key, label in (("bounced", "persona5"), ("deferred", "persona4"), ("skipped", "persona7")):
            rows = manager.get(f"{BASE}/{running.id}/recipients?status={key}").text
            assert re.findall(r">(persona\d)@", rows) == [label]

    def test_pause_resume_cancel_from_the_page(self, manager, session, running):
        for verb, status in (("pause", "paused"), ("resume", "sending"), ("cancel", "cancelled")):
            assert manager.post(f"{BASE}/{running.id}/{verb}").status_code == 302
            session.expire_all()
            assert running.status == status

    def test_cancel_says_how_many_will_not_get_it(self, manager, running):
        page = manager.get(f"{BASE}/{running.id}").text
        assert "2 personas no lo recibirán" in page
        done = manager.post(f"{BASE}/{running.id}/cancel", follow_redirects=True).text
        assert "Personas que no la recibirán: 2" in done

    def test_campaign_that_paused_itself_says_why_and_what_to_do(self, manager, session, running):
        arrange(session)
        running.status = CampaignStatus.PAUSED
        running.status_reason = "relay_failures:421 too busy <b>"
        session.commit()
        page = manager.get(f"{BASE}/{running.id}").text
        assert "421 too busy &lt;b&gt;" in page
        assert "pulse «Reanudar»" in page

    @pytest.mark.parametrize("status", list(CampaignStatus))
    def test_every_status_has_a_page(self, manager, session, draft, status):
        arrange(session)
        draft.status, draft.scheduled_at = status, datetime.now(UTC)
        draft.started_at = draft.finished_at = datetime.now(UTC)
        session.commit()
        for path in ("", "/live", "/report", "/recipients", "/preview", "/review", "/edit"):
            assert manager.get(f"{BASE}/{draft.id}{path}", follow_redirects=True).status_code == 200

    def test_report_counts_people_once_and_links_by_click(self, manager, session, panel, running):
        today = running.frozen_on
        session.add(CampaignLink(campaign_id=running.id, position=0, url="https://example.pe/feria"))
        now = datetime.now(UTC)
        for seq, opens, clicks in ((2, 3, 2), (3, 0, 1)):
            session.add(
                Engagement(
                    frozen_on=today, campaign_id=running.id, seq=seq, opens=opens, clicks=clicks,
                    first_open_at=now if opens else None, first_click_at=now,
                )
            )  # fmt: skip
        for number, seq in enumerate((2, 2, 3)):
            session.execute(
                text(
                    "INSERT INTO event (occurred_at, source_id, panel_id, campaign_id, seq, kind, link) "
                    "VALUES (:at, :id, :p, :c, :seq, 'click', 0)"
                ),
                {"at": datetime.now(UTC), "id": f"1-{number}", "p": panel.id, "c": running.id, "seq": seq},
            )
        session.flush()
        events.sum_up(session, running.id)
        session.commit()
        page = manager.get(f"{BASE}/{running.id}/report?whole=1").text
        assert "por tramos de 1 minuto." in page
        assert "100 % de los aceptados · 3 aperturas" in page
        assert "100 % de los aceptados · 3 clics" in page
        assert re.search(r"example.pe/feria</td><td class=\"figure\">2</td><td class=\"figure\">3</td>", page)
        assert re.search(r"example.pe</th><td class=\"figure\">8</td>", page)
        for chosen, found in (
            ("opened", ["persona2", "persona3"]),
            ("clicked", ["persona2", "persona3"]),
            ("left", []),
        ):
            rows = manager.get(f"{BASE}/{running.id}/recipients?status={chosen}").text
            assert re.findall(r">(persona\d)@", rows) == found
        detail = manager.get(f"{BASE}/{running.id}/report/detail").text
        assert "Aperturas y clics en el tiempo" in detail

    def test_one_of_each_is_told_in_the_singular(self, manager, session, running):
        now = datetime.now(UTC)
        session.add(
            Engagement(
                frozen_on=running.frozen_on, campaign_id=running.id, seq=2, opens=1, clicks=1,
                first_open_at=now, first_click_at=now, unsubscribed_at=now,
            )
        )  # fmt: skip
        running.started_at, running.finished_at = now - timedelta(minutes=2), now
        session.flush()
        events.sum_up(session, running.id)
        session.commit()
        assert "1 abrió, 1 hizo clic, 1 se dio de baja" in manager.get(f"{BASE}/{running.id}").text
        page = manager.get(f"{BASE}/{running.id}/report").text
        assert "los aceptados · 1 apertura<" in page
        assert "los aceptados · 1 clic<" in page
        assert "(duró 2 minutos)" in page

    def test_one_recipient_shows_all_that_happened_in_order(self, manager, session, panel, running):
        session.execute(
            text(
                "INSERT INTO attempt (frozen_on, campaign_id, seq, attempt, at, outcome, stage, reply_code, reply_text) "
                "VALUES (:f, :c, 2, 1, now() - interval '1 hour', 'deferred', 'rcpt', 451, 'greylisted <i>')"
            ),
            {"f": running.frozen_on, "c": running.id},
        )
        session.execute(
            text(
                "UPDATE delivery SET attempts = 2, last_attempt_at = now() - interval '50 minutes', reply_code = 250, "
                "reply_text = 'Ok: queued as P7' WHERE campaign_id = :c AND seq = 2"
            ),
            {"c": running.id},
        )
        session.execute(
            text(
                "INSERT INTO event (occurred_at, source_id, panel_id, campaign_id, seq, kind) "
                "VALUES (now(), '1-1', :p, :c, 2, 'open')"
            ),
            {"p": panel.id, "c": running.id},
        )
        session.commit()
        running.started_at = datetime.now(UTC) - timedelta(hours=2)
        session.commit()
        page = manager.get(f"{BASE}/{running.id}/recipients/2").text
        order = [
            page.index(told) for told in ("greylisted &lt;i&gt;", "250 Ok: queued as P7</div>\n", "Abrió el correo")
        ]
        assert order == sorted(order)
        assert manager.get(f"{BASE}/{running.id}/recipients/99").status_code == 404

    def test_recipients_are_paged_by_key(self, manager, session, panel, people, domain):
        big = factories.campaign(session, panel, people)
        ledger.freeze(session, big, ["accepted"] * 120, batch_size=50)
        seen, url = [], f"{BASE}/{big.id}/recipients"
        while url:
            page = manager.get(url).text
            seen += re.findall(r">(persona\d+)@", page)
            more = re.search(r'href="([^"]+)" rel="next"', page)
            url = more[1].replace("&amp;", "&") if more else None
        assert seen == [f"persona{n}" for n in range(1, 121)]

    def test_download_holds_everybody_and_no_formula(self, manager, session, running, monkeypatch):
        from app.flow import slices

        monkeypatch.setattr(slices, "SLICE_ROWS", 3)
        session.execute(
            text(
                "UPDATE delivery SET email = '=cmd@example.pe', reply_text = '@SUM(1)' WHERE campaign_id = :c AND seq = 5"
            ),
            {"c": running.id},
        )
        session.commit()
        answer = manager.get(f"{BASE}/{running.id}/recipients.csv")
        rows = list(csv.reader(io.StringIO(answer.data.decode("utf-8-sig")), delimiter=";"))
        assert [row[0] for row in rows[1:]] == [str(n) for n in range(1, 9)]
        assert (rows[5][1], rows[5][8]) == ("'=cmd@example.pe", "'@SUM(1)")
        assert rows[7][2:4] == ["Omitido", "está en la lista de supresión"]
        assert "attachment" in answer.headers["Content-Disposition"]


WRITES = {"edit", "proof", "duplicate", "delete", "follow-up"}
"""What an editor may do with a campaign. Whatever else can be posted to one belongs to sending it."""
AREA_WRITES = {"new", "live-preview", "live-subject", "text-part"}


def posted(app):
    """What each POST route of the area ends in: those of one campaign, and those of no campaign yet."""
    prefix, of_one, of_none = "/p/<panel>/campaigns/", set(), set()
    for rule in app.url_map.iter_rules():
        if rule.endpoint.startswith("campaigns.") and "POST" in rule.methods:
            path = rule.rule.removeprefix(prefix)
            (of_one if path.startswith("<int:campaign_id>/") else of_none).add(path.removeprefix("<int:campaign_id>/"))
    return of_one, of_none


def sends(app):
    return posted(app)[0] - WRITES


class TestRoles:
    def test_every_route_that_changes_something_is_in_the_matrices(self, app):
        of_one, of_none = posted(app)
        assert of_one > WRITES
        assert {"send", "settle", "cancel"} <= sends(app)
        assert of_none == AREA_WRITES

    def test_viewer_looks_and_changes_nothing(self, app, viewer, session, running):
        for path in (
            "",
            "/live",
            "/report",
            "/report/detail",
            "/recipients",
            "/recipients/1",
            "/preview",
            "/proofs",
        ):
            assert viewer.get(f"{BASE}/{running.id}{path}").status_code == 200, path
        page = viewer.get(f"{BASE}/{running.id}").text
        assert "Pausar" not in page
        of_one, of_none = posted(app)
        for verb in of_one:
            assert viewer.post(f"{BASE}/{running.id}/{verb}").status_code == 403, verb
        for path in of_none:
            assert viewer.post(f"{BASE}/{path}", data={"html": "x"}).status_code == 403, path
        for path in (f"{BASE}/new", f"{BASE}/{running.id}/edit", f"{BASE}/{running.id}/review"):
            assert viewer.get(path).status_code == 403
        session.expire_all()
        assert running.status is CampaignStatus.SENDING

    def test_editor_writes_and_proves_but_does_not_send(self, app, editor, session, draft):
        assert editor.get(f"{BASE}/{draft.id}/edit").status_code == 200
        page = editor.get(f"{BASE}/{draft.id}/review").text
        assert "avise a una persona con rol de gestión" in page
        for verb in sends(app):
            assert editor.post(f"{BASE}/{draft.id}/{verb}").status_code == 403, verb


class TestOtherPanels:
    def test_no_route_shows_or_touches_another_panels_campaign(
        self, app, client, session, charlie, other_panel, running, panel
    ):
        """Every route of the area, with an id of the panel next door, by its manager: 404, and nothing has changed."""
        log_in(client, charlie)
        before = session.execute(text("SELECT md5(campaign::text) FROM campaign")).scalars().all()
        tried = 0
        rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint.startswith("campaigns.")]
        for rule in rules:
            if "campaign_id" not in rule.arguments:
                continue
            values = dict.fromkeys(rule.arguments - {"campaign_id", "panel"}, 1)
            for slug in (other_panel.slug, panel.slug):
                with app.test_request_context():
                    url = url_for(rule.endpoint, panel=slug, campaign_id=running.id, **values)
                for method in rule.methods - {"HEAD", "OPTIONS"}:
                    assert client.open(url, method=method).status_code == 404, (method, url)
                    tried += 1
        assert tried > 40
        assert session.execute(text("SELECT md5(campaign::text) FROM campaign")).scalars().all() == before

    def test_list_search_and_lists_to_choose_are_the_panels_own(self, client, session, charlie, other_panel, running):
        log_in(client, charlie)
        page = client.get("/p/fiscalizacion/campaigns?q=Feria").text
        assert "Feria de empleo" not in page
        assert "Feria laboral" not in client.get("/p/fiscalizacion/campaigns/new").text

    def test_live_preview_uses_no_contact_of_another_panels_list(self, client, charlie, people):
        log_in(client, charlie)
        answer = client.post(
            "/p/fiscalizacion/campaigns/live-preview", data={"html": "{{ email }}", "list_ids": people.id}
        )
        assert "example.pe" not in answer.text

    def test_somebody_without_a_session_is_sent_to_log_in(self, client, running):
        assert client.get(f"{BASE}/{running.id}").status_code in (302, 401)


class TestCsrf:
    def test_every_post_asks_for_the_token(self, app, manager, running):
        app.config["WTF_CSRF_ENABLED"] = True
        of_one, of_none = posted(app)
        for path in of_none | {f"{running.id}/{verb}" for verb in of_one}:
            assert manager.post(f"{BASE}/{path}").status_code == 400, path
