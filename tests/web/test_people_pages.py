"""Lists, contacts, custom fields and suppressions through their pages."""

import base64
import csv
import io
from datetime import UTC, datetime

import pytest
from sqlalchemy import select, text

from app.extensions import db
from app.flow import emptying, imports, suppressions
from app.models import (
    Contact,
    CustomField,
    Delivery,
    DeliveryStatus,
    FieldType,
    MailingList,
    PracticeMessage,
    Subscription,
    SubscriptionStatus,
    Suppression,
    SuppressionReason,
)
from tests import factories
from tests.flow.test_imports import analysed, upload
from tests.web.pages import Person, text_of


@pytest.fixture
def person(client, alice):
    return Person(client, alice)


# Lists.


def test_an_empty_panel_says_what_to_do_next(person):
    for path in ("/lists", "/contacts", "/imports"):
        assert "Importar archivo" in person.text(path)
    assert "Nuevo campo" in person.text("/custom-fields")
    assert "Suprimir direcciones" in person.text("/suppressions")


def test_a_list_is_made_renamed_archived_and_restored(session, person):
    person.post("/lists/new", {"name": " Feria   laboral ", "description": "De la feria"})
    row = session.scalars(select(MailingList)).one()
    assert row.name == "Feria laboral"
    assert "Ya hay una lista con ese nombre" in text_of(person.post("/lists/new", {"name": "Feria laboral"}))
    person.post(f"/lists/{row.id}/edit", {"name": "Feria 2026", "description": ""})
    told = person.post(f"/lists/{row.id}/archive", follow_redirects=True)
    assert "Puede restaurarla cuando quiera." in text_of(told)
    assert "Feria 2026" not in person.text("/lists")
    assert "Feria 2026" in person.text("/lists?archived=1")
    person.post(f"/lists/{row.id}/restore")
    assert "Feria 2026" in person.text("/lists")


def test_people_of_a_list_are_searched_filtered_and_paged(session, person, panel):
    row = factories.mailing_list(session, panel)
    for n in range(55):
        factories.contact(session, panel, f"p{n:02}@example.pe", row, name=f"Persona {n:02}")
    factories.contact(session, panel, "baja@example.pe", row, status=SubscriptionStatus.UNSUBSCRIBED)
    first = person.get(f"/lists/{row.id}").text
    assert "baja@example.pe" in first
    assert "p54@example.pe" not in first
    after = first.split("after=")[1].split('"')[0].replace("&amp;", "&")
    assert "p54@example.pe" in person.text(f"/lists/{row.id}?after={after}")
    assert "p07@example.pe" in person.text(f"/lists/{row.id}?q=PERSONA 07")
    only = person.text(f"/lists/{row.id}?status=unsubscribed")
    assert "baja@example.pe" in only
    assert "p00@example.pe" not in only
    assert "Nadie coincide" in person.text(f"/lists/{row.id}?q=%25")  # a per cent sign is a letter


def test_a_person_is_added_by_hand_and_consent_is_not_reset(session, person, panel, alice):
    row = factories.mailing_list(session, panel)
    path = f"/lists/{row.id}"
    assert "ana@example.pe está en la lista." in text_of(
        person.post(path, {"email": "ANA@example.pe", "name": "Ana"}, follow_redirects=True)
    )
    contact = session.scalars(select(Contact)).one()
    subscription = session.get(Subscription, (row.id, contact.id))
    assert subscription.source == f"manual:{alice.id}"
    assert "ya estaba" in text_of(person.post(path, {"email": "ana@example.pe"}, follow_redirects=True))
    person.post(f"{path}/people/{contact.id}/unsubscribe")
    session.refresh(subscription)
    assert subscription.status is SubscriptionStatus.UNSUBSCRIBED
    assert subscription.unsubscribe_source == f"manual:{alice.id}"
    assert "se dio de baja" in text_of(person.post(path, {"email": "ana@example.pe"}, follow_redirects=True))
    session.refresh(subscription)
    assert subscription.status is SubscriptionStatus.UNSUBSCRIBED
    person.post(f"{path}/people/{contact.id}/subscribe")
    session.refresh(subscription)
    assert (subscription.status, subscription.source) == (SubscriptionStatus.SUBSCRIBED, f"consent:{alice.id}")
    assert "A la dirección le falta la arroba" in text_of(person.post(path, {"email": "ana"}, follow_redirects=True))


@pytest.mark.parametrize(("email", "sentence"), [("ana", "le falta la arroba"), ("", "Correo")])
def test_a_refused_person_stays_in_the_form(session, person, panel, email, sentence):
    row = factories.mailing_list(session, panel)
    refused = person.post(f"/lists/{row.id}", {"email": email, "name": "Ana Quispe"})
    assert refused.status_code == 422
    assert 'value="Ana Quispe"' in refused.text
    assert f'value="{email}"' in refused.text
    assert "is-invalid" in refused.text
    assert '<details class="card mb-3" open' in refused.text
    assert sentence in text_of(refused)
    assert session.scalars(select(Contact)).all() == []


def test_export_is_a_csv_with_fields_and_defused_formulas(session, person, panel):
    row = factories.mailing_list(session, panel, "Región Áncash")
    factories.custom_field(session, panel, "region", label="Región")
    factories.contact(session, panel, "ana@example.pe", row, name="@SUM(A1)", fields={"region": "-Áncash"})
    response = person.get(f"/lists/{row.id}/people.csv")
    assert "Region-Ancash.csv" in response.headers["Content-Disposition"]
    header, line = list(csv.reader(io.StringIO(response.text.removeprefix("\ufeff")), delimiter=";"))
    assert header[:4] == ["Correo", "Nombre", "Región", "Estado"]
    assert line[:4] == ["ana@example.pe", "'@SUM(A1)", "'-Áncash", "Suscrito"]


# Contacts.


def test_a_contact_page_shows_data_proof_and_what_was_sent(session, person, panel):
    row = factories.mailing_list(session, panel)
    factories.custom_field(session, panel, "region", label="Región")
    contact = factories.contact(session, panel, "ana@example.pe", row, name="Ana", fields={"region": "Áncash"})
    campaign = factories.campaign(session, panel, row, name="Boletín de enero")
    now = datetime.now(UTC)
    session.add(
        Delivery(
            frozen_on=now.date(), campaign_id=campaign.id, seq=1, contact_id=contact.id, panel_id=panel.id,
            email=contact.email, status=DeliveryStatus.BOUNCED, last_attempt_at=now, reply_code=550,
            reply_text="5.1.1 No such user",
        )
    )  # fmt: skip
    session.commit()
    page = person.text(f"/contacts/{contact.id}")
    for shown in ("Áncash", "Feria laboral", "Suscrito el", "Boletín de enero", "Rebotado", "550 5.1.1 No such user"):
        assert shown in page


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("ana", {"ana@example.pe", "luz@example.pe"}),
        ("ana@", {"ana@example.pe"}),
        (" ZOI", {"ana@example.pe"}),
        ("example", set()),
    ],
)
def test_contacts_are_found_by_the_beginning_of_address_or_name(session, person, panel, wanted, found):
    factories.contact(session, panel, "ana@example.pe", name="Zoila")
    factories.contact(session, panel, "luz@example.pe", name="Ana Luz")
    page = person.text(f"/contacts?q={wanted}")
    assert {email for email in ("ana@example.pe", "luz@example.pe") if email in page.split("Buscar")[-1]} == found


def test_a_contact_is_made_and_edited_with_typed_fields(session, person, panel):
    factories.custom_field(session, panel, "edad", type=FieldType.NUMBER)
    factories.custom_field(session, panel, "socio", type=FieldType.BOOLEAN)
    refused = person.post("/contacts/new", {"email": "ana@example.pe", "name": "Ana", "field_edad": "mucha"})
    assert "No es un número." in text_of(refused)
    person.post("/contacts/new", {"email": "ana@example.pe", "name": "Ana", "field_edad": "30", "field_socio": "sí"})
    contact = session.scalars(select(Contact)).one()
    assert contact.fields == {"edad": 30, "socio": True}
    path = f"/contacts/{contact.id}/edit"
    assert 'value="30"' in person.get(path).text
    person.post(path, {"email": "Ana.Luz@example.pe", "name": "Ana Luz", "field_edad": "", "field_socio": "no"})
    session.refresh(contact)
    assert (contact.email, contact.name, contact.fields) == ("ana.luz@example.pe", "Ana Luz", {"socio": False})
    factories.contact(session, panel, "otra@example.pe")
    assert "ya tiene esa dirección" in text_of(person.post(path, {"email": "otra@example.pe", "name": ""}))


def test_erasing_says_what_it_does_and_keeps_the_ledger(session, settings, person, panel):
    row = factories.mailing_list(session, panel)
    contact = factories.contact(session, panel, "ana@example.pe", row, name="Ana")
    campaign = factories.campaign(session, panel, row)
    session.add(
        Delivery(
            frozen_on=datetime.now(UTC).date(), campaign_id=campaign.id, seq=1, contact_id=contact.id,
            panel_id=panel.id, email=contact.email, status=DeliveryStatus.ACCEPTED,
        )
    )  # fmt: skip
    session.commit()
    path = f"/contacts/{contact.id}/erase"
    page = person.text(path)
    assert "su suscripción a 1 lista" in page
    assert "1 envío" in page
    person.post(path, {"keep_suppressed": "y"})
    session.expire_all()
    assert session.scalars(select(Contact)).all() == []
    assert session.scalars(select(Subscription)).all() == []
    assert session.scalars(select(Delivery)).one().email == "ana@example.pe"
    assert session.scalars(select(Suppression)).one().email == "ana@example.pe"


def captured(session, panel, rcpt_to):
    row = PracticeMessage(
        panel_id=panel.id,
        message_id=f"<{rcpt_to}>",
        mail_from="r@boletin.example.gob.pe",
        rcpt_to=rcpt_to,
        size_bytes=1,
        raw=b"x",
    )
    session.add(row)
    session.commit()


def test_erasing_takes_the_captured_mails_along_and_no_others(session, person, panel, other_panel):
    contact = factories.contact(session, panel, "ana@example.pe")
    captured(session, panel, "ana@example.pe")
    captured(session, panel, "Ana@Example.pe")
    captured(session, panel, "mariana@example.pe")
    captured(session, other_panel, "ana@example.pe")
    assert "los mensajes para esta dirección en el buzón de práctica" in person.text(f"/contacts/{contact.id}/erase")
    person.post(f"/contacts/{contact.id}/erase")
    kept = {(one.panel_id, one.rcpt_to) for one in session.scalars(select(PracticeMessage))}
    assert kept == {(panel.id, "mariana@example.pe"), (other_panel.id, "ana@example.pe")}


@pytest.mark.parametrize("status", [DeliveryStatus.SENDING, DeliveryStatus.UNKNOWN])
def test_erasing_waits_while_the_mailbox_answers_for_a_mail_to_the_person(session, person, panel, status):
    """Without the captured message, reconciling would take the mail for never sent."""
    today = datetime.now(UTC).date()
    contact = factories.contact(session, panel, "ana@example.pe")
    campaign = factories.campaign(session, panel, name="Boletín", status="sending", frozen_on=today)
    delivery = Delivery(
        frozen_on=today, campaign_id=campaign.id, seq=1, contact_id=contact.id,
        panel_id=panel.id, email=contact.email, status=status,
    )  # fmt: skip
    session.add(delivery)
    captured(session, panel, "ana@example.pe")
    refused = person.post(f"/contacts/{contact.id}/erase", follow_redirects=True)
    assert "la campaña «Boletín» está enviando ahora mismo a esta persona" in text_of(refused)
    assert session.scalars(select(Contact.email)).all() == ["ana@example.pe"]
    assert session.scalars(select(PracticeMessage.rcpt_to)).all() == ["ana@example.pe"]
    delivery.status = DeliveryStatus.ACCEPTED
    session.commit()
    person.post(f"/contacts/{contact.id}/erase")
    assert session.scalars(select(Contact)).all() == []
    assert session.scalars(select(PracticeMessage)).all() == []


def test_erasing_says_which_files_stay_and_until_when(session, settings, person, panel):
    contact = factories.contact(session, panel, "ana@example.pe")
    path = f"/contacts/{contact.id}/erase"
    assert "No se borran los archivos" not in person.text(path)
    job = upload(session, settings, panel, "correo\nana@example.pe\n")
    page = person.get(path)
    assert f'/imports/{job.id}">contactos.csv</a>' in page.text
    assert "La que nadie continúa en 30 días se cancela sola" in text_of(page)
    imports.cancel(session, settings, job)
    assert list(settings.upload_dir.iterdir()) == []
    assert "No se borran los archivos" not in person.text(path)


# Custom fields.


def test_fields_are_made_renamed_moved_and_removed(session, person, panel):
    person.post("/custom-fields/new", {"label": "Región", "key": "region", "type": "text"})
    person.post("/custom-fields/new", {"label": "Edad", "key": "edad", "type": "number"})
    region, edad = session.scalars(select(CustomField).order_by(CustomField.position))
    for key, sentence in (
        ("nombre", "ya existen en todas las campañas"),
        ("edad", "ya tiene esa clave"),
        ("Región", "Use minúsculas"),
    ):
        assert sentence in text_of(person.post("/custom-fields/new", {"label": "x", "key": key, "type": "text"}))
    person.post(f"/custom-fields/{edad.id}/up")
    session.expire_all()
    assert [f.key for f in session.scalars(select(CustomField).order_by(CustomField.position))] == ["edad", "region"]
    person.post(f"/custom-fields/{region.id}/edit", {"label": "Departamento"})
    person.post(f"/custom-fields/{edad.id}/delete")
    session.expire_all()
    assert [f.label for f in session.scalars(select(CustomField))] == ["Departamento"]


@pytest.mark.parametrize("part", ["subject", "preheader", "from_name", "html", "text"])
def test_a_field_stays_wherever_in_a_campaign_it_is_written(session, person, panel, part):
    field = factories.custom_field(session, panel, "region", label="Región")
    factories.campaign(session, panel, name="Boletín", **{part: "Hola {{ region }}"})
    assert "Boletín" in person.text(f"/custom-fields/{field.id}/delete")
    person.post(f"/custom-fields/{field.id}/delete")
    assert session.scalars(select(CustomField.key)).all() == ["region"]


def test_a_field_stays_while_an_import_brings_values_for_it(session, settings, person, panel):
    field = factories.custom_field(session, panel, "edad", label="Edad", type="number")
    job = analysed(session, settings, panel, "Correo;Edad\nana@example.pe;30\n")
    page = person.get(f"/custom-fields/{field.id}/delete")
    assert f'/imports/{job.id}">contactos.csv</a>' in page.text
    assert "btn-danger" not in page.text
    person.post(f"/custom-fields/{field.id}/delete")
    assert session.scalars(select(CustomField.type)).one() == "number"
    imports.cancel(session, settings, job)
    person.post(f"/custom-fields/{field.id}/delete")
    assert session.scalars(select(CustomField)).all() == []


def test_a_field_whose_values_take_longer_is_gone_at_once_and_the_page_says_so(app, session, person, panel):
    """Here an import that is being applied keeps them."""
    field = factories.custom_field(session, panel, "region", label="Región")
    factories.contact(session, panel, "ana@example.pe", fields={"region": "Áncash"})
    with db.engine.begin() as importing:
        importing.execute(text("SELECT pg_advisory_xact_lock(hashtext('chaski.apply_import'), :id)"), {"id": panel.id})
        told = person.post(f"/custom-fields/{field.id}/delete", follow_redirects=True)
    assert "Sus valores terminan de borrarse en los próximos minutos" in text_of(told)
    assert session.scalars(select(CustomField)).all() == []
    again = person.post("/custom-fields/new", {"label": "Región", "key": "region", "type": "text"})
    assert "todavía se están borrando" in text_of(again)
    emptying.empty(session)
    session.expire_all()
    assert session.scalars(select(Contact.fields)).one() == {}
    assert person.post("/custom-fields/new", {"label": "Región", "key": "region", "type": "text"}).status_code == 302


@pytest.mark.parametrize("status", ["draft", "scheduled", "sending", "paused"])
def test_a_field_that_a_campaign_needs_stays_and_says_where_it_is_used(session, person, panel, status):
    field = factories.custom_field(session, panel, "region", label="Región")
    factories.contact(session, panel, "ana@example.pe", fields={"region": "Áncash"})
    campaign = factories.campaign(session, panel, name="Boletín", subject="Hola {{ region }}", status=status)
    page = person.get(f"/custom-fields/{field.id}/delete")
    assert "1 contacto tiene un valor en este campo." in text_of(page)
    assert f'/campaigns/{campaign.id}">Boletín</a>' in page.text
    assert "btn-danger" not in page.text
    refused = person.post(f"/custom-fields/{field.id}/delete", follow_redirects=True)
    assert "Todavía no se puede borrar." in text_of(refused)
    assert session.scalars(select(Contact.fields)).one() == {"region": "Áncash"}


def test_a_field_that_nobody_needs_says_what_it_holds_and_takes_it_along(session, person, panel, other_panel):
    field = factories.custom_field(session, panel, "region", label="Región")
    factories.custom_field(session, other_panel, "region")
    for one in (panel, other_panel):
        factories.contact(session, one, "ana@example.pe", fields={"region": "Áncash", "edad": 30})
    factories.contact(session, panel, "luz@example.pe", fields={"edad": 30})
    factories.campaign(session, panel, subject="Su region", html="<p>{{ nombre }} region</p>")
    factories.campaign(session, panel, subject="{{ region }}", status="finished")
    page = person.text(f"/custom-fields/{field.id}/delete")
    assert "Ninguna campaña por enviar lo usa. 1 contacto tiene un valor en este campo. Esos valores se borran" in page
    person.post(f"/custom-fields/{field.id}/delete")
    session.expire_all()
    assert session.scalars(select(CustomField.panel_id)).one() == other_panel.id
    kept = {(c.panel_id, c.email): c.fields for c in session.scalars(select(Contact))}
    assert kept == {
        (panel.id, "ana@example.pe"): {"edad": 30},
        (panel.id, "luz@example.pe"): {"edad": 30},
        (other_panel.id, "ana@example.pe"): {"region": "Áncash", "edad": 30},
    }


@pytest.mark.parametrize("label", ["Región", "region", " REGIÓN ", "Región:"])
def test_two_fields_cannot_look_alike(session, person, panel, other_panel, label):
    factories.custom_field(session, other_panel, "provincia", label="Provincia")
    factories.custom_field(session, panel, "lugar", label="Región")
    edad = factories.custom_field(session, panel, "edad", label="Edad")
    made = person.post("/custom-fields/new", {"label": label, "key": "otra", "type": "text"})
    renamed = person.post(f"/custom-fields/{edad.id}/edit", {"label": label})
    for refused in (made, renamed):
        assert "Ya hay un campo «Región»." in text_of(refused)
        assert f'value="{label}"' in refused.text
    session.expire_all()
    assert {f.label for f in session.scalars(select(CustomField))} == {"Provincia", "Región", "Edad"}
    assert person.post(f"/custom-fields/{edad.id}/edit", {"label": "EDAD"}).status_code == 302
    assert person.post("/custom-fields/new", {"label": "Provincia", "key": "otra", "type": "text"}).status_code == 302


# Suppressions.


def test_pasted_addresses_are_suppressed_and_others_given_back(session, person, panel, alice):
    response = person.post(
        "/suppressions/new",
        {"addresses": "ana@example.pe\r\n\r\nLUZ@example.pe;\nno es\nana@example.pe", "reason": "complaint"},
    )
    shown = text_of(response)
    assert "Direcciones suprimidas: 2. Ya lo estaban: 0." in shown
    assert "Línea 4" in shown
    rows = session.scalars(select(Suppression).order_by(Suppression.email)).all()
    assert [(r.email, r.panel_id, r.reason, r.created_by_id) for r in rows] == [
        ("ana@example.pe", panel.id, SuppressionReason.COMPLAINT, alice.id),
        ("luz@example.pe", panel.id, SuppressionReason.COMPLAINT, alice.id),
    ]
    page = person.text("/suppressions?q=ana&reason=complaint&scope=panel")
    assert "ana@example.pe" in page
    assert "luz@example.pe" not in page
    person.post(f"/suppressions/{rows[0].id}/delete")
    assert [r.email for r in session.scalars(select(Suppression))] == ["luz@example.pe"]


def test_only_administrators_change_what_holds_for_the_installation(client, session, panel, alice, admin):
    suppressions.suppress(session, None, "ana@example.pe", SuppressionReason.COMPLAINT, "test")
    row = session.scalars(select(Suppression)).one()
    manager = Person(client, alice)
    assert "Toda la instalación" in manager.text("/suppressions")
    assert manager.post(f"/suppressions/{row.id}/delete").status_code == 403
    manager.post("/suppressions/new", {"addresses": "luz@example.pe", "reason": "manual", "everywhere": "y"})
    assert session.scalars(select(Suppression.panel_id).where(Suppression.email == "luz@example.pe")).one() == panel.id
    administrator = Person(client, admin)
    administrator.post("/suppressions/new", {"addresses": "eva@example.pe", "reason": "manual", "everywhere": "y"})
    assert session.scalars(select(Suppression.panel_id).where(Suppression.email == "eva@example.pe")).one() is None
    assert administrator.post(f"/suppressions/{row.id}/delete").status_code == 302


def test_unsubscribing_is_idempotent_and_everything_suppresses(session, panel):
    rows = [factories.mailing_list(session, panel, name) for name in ("A", "B", "C")]
    contact = factories.contact(session, panel, "ana@example.pe", *rows)

    def statuses():
        session.expire_all()
        found = session.scalars(select(Subscription).order_by(Subscription.list_id))
        return [(s.status.value, s.unsubscribe_source) for s in found]

    leave = {"contact_id": contact.id, "list_ids": [rows[0].id]}
    assert suppressions.unsubscribe(session, **leave, source="one-click:1") == 1
    assert suppressions.unsubscribe(session, **leave, source="one-click:2") == 0
    assert statuses() == [("unsubscribed", "one-click:1"), ("subscribed", None), ("subscribed", None)]
    assert suppressions.unsubscribe(session, **leave, source="page:1", everything=True) == 2
    assert [status for status, _ in statuses()] == ["unsubscribed"] * 3
    suppression = session.scalars(select(Suppression)).one()
    assert (suppression.email, suppression.reason) == ("ana@example.pe", SuppressionReason.UNSUBSCRIBED)
    assert suppressions.unsubscribe(session, **leave, source="page:1", everything=True) == 0
    assert suppressions.unsubscribe(session, contact_id=999, list_ids=[1], source="x", everything=True) == 0


# Roles, scope, CSRF: every route of these areas.

AREAS = ("lists", "contacts", "imports", "suppressions", "custom_fields")


@pytest.fixture
def street(session, panel):
    """One row of everything, all with the id that the routes are asked for."""
    row = factories.mailing_list(session, panel)
    contact = factories.contact(session, panel, "ana@example.pe", row)
    field = factories.custom_field(session, panel, "region")
    suppressions.suppress(session, panel.id, "nunca@example.pe", SuppressionReason.MANUAL, "test")
    from app.models import Import

    job = Import(
        panel_id=panel.id,
        filename="x.csv",
        stored_path="x.csv",
        size_bytes=1,
        encoding="utf-8",
        delimiter=";",
        header=[],
    )
    session.add(job)
    session.commit()
    return {
        "list_id": row.id,
        "contact_id": contact.id,
        "field_id": field.id,
        "suppression_id": session.scalars(select(Suppression.id)).one(),
        "import_id": job.id,
        "direction": "up",
    }


def routes(app, street):
    """(method, path within the panel, whether it names a row) of every route of these areas."""
    adapter = app.url_map.bind("correo.example.pe")
    for rule in app.url_map.iter_rules():
        if rule.endpoint.split(".")[0] not in AREAS:
            continue
        values = {name: street[name] for name in rule.arguments - {"panel"}}
        path = adapter.build(rule.endpoint, {"panel": "PANEL", **values}).split("/PANEL", 1)[1]
        for method in rule.methods - {"HEAD", "OPTIONS"}:
            yield method, path, bool(values)


def test_another_panels_rows_are_404_on_every_route(app, client, street, charlie):
    outsider = Person(client, charlie, "fiscalizacion")
    token = outsider.token()
    tried = 0
    for method, path, names_a_row in routes(app, street):
        for prefix in ("/p/empleo", "/p/fiscalizacion") if names_a_row else ("/p/empleo",):
            response = client.open(
                prefix + path, method=method, data={"csrf_token": token} if method == "POST" else None
            )
            assert response.status_code == 404, (method, prefix + path, response.status)
            tried += 1
    assert tried > 50


def test_strangers_are_sent_to_log_in_on_every_route(app, client, street):
    for method, path, _ in routes(app, street):
        response = client.open("/p/empleo" + path, method=method)
        if method == "GET":
            assert (response.status_code, "/login" in response.location) == (302, True), path
        else:
            assert response.status_code in (302, 400), path


def test_nothing_is_changed_without_the_csrf_token(app, client, street, alice):
    person = Person(client, alice)
    for method, path, _ in routes(app, street):
        if method == "POST":
            assert client.post(person.prefix + path).status_code == 400, path


def test_viewers_look_at_everything_and_change_nothing(app, client, session, street, bob):
    viewer = Person(client, bob)
    token = viewer.token()
    for method, path, _ in routes(app, street):
        if method == "POST":
            response = client.post(viewer.prefix + path, data={"csrf_token": token})
            assert response.status_code == 403, path


@pytest.mark.parametrize("page", ["/lists", "/contacts", "/imports", "/suppressions"])
@pytest.mark.parametrize("query", ["?sort=nonsense", "?after=%00", "?after=bm9uc2Vuc2U", "?after=WyJhIiwxXQ", "?q=%00"])
def test_nonsense_in_the_address_is_no_error(person, street, page, query):
    assert person.get(page + query).status_code == 200


HAND_MADE = [
    b"[" * 1450,
    b"[" * 2900,
    rb'["\ud800",1]',
    '["\ud800",1]'.encode("utf-8", "surrogatepass"),
    rb'["\u0000",1]',
    b"[1e999,1]",
    b"[NaN,1]",
    b"[1.5,1]",
    b'["a",1e999]',
    b'["a",1.5]',
    b'["a",99999999999999999999]',
    b'[{"t":5},1]',
    b'[{"t":"0001-01-01T00:00:00+23:59"},1]',
    b'["a",true]',
    b'["a"]',
    b"null",
]


@pytest.mark.parametrize("cursor", HAND_MADE, ids=lambda cursor: ascii(cursor[:20]))
def test_a_hand_made_cursor_is_no_error(person, street, cursor):
    after = base64.urlsafe_b64encode(cursor).decode()
    for path in ("/lists?sort=name", "/contacts?sort=email", "/contacts?sort=created", "/lists?sort=created"):
        for way in ("after", "before"):
            assert person.get(f"{path}&{way}={after}").status_code == 200, path


def test_names_with_rare_letters_are_paged_to_the_end(session, person, panel):
    for n in range(55):
        factories.contact(session, panel, f"p{n:02}@example.pe", name="\U0001f98b" * 190 + f"{n:02}")
    first = person.get("/contacts?sort=name").text
    after = first.split("after=")[1].split('"')[0].split("&")[0]
    assert "p54@example.pe" in person.text(f"/contacts?sort=name&after={after}")
