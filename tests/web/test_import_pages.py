"""The way of a file through the pages: upload, columns, progress, review, result; and what bad files are told."""

import csv
import dataclasses
import io
import re

import pytest
from sqlalchemy import func, select

from app import MAX_BODY_BYTES
from app.flow import imports
from app.models import Contact, CustomField, Import, ImportStatus, MailingList, SubscriptionStatus
from tests import factories
from tests.web.pages import Person, text_of

CSV = "Correo;Nombre;Región\nana@example.pe;María Peña;Áncash\nluz@example.pe;Luz Núñez;Junín\nmalo;=1+1;Ica\n"


@pytest.fixture
def person(client, alice):
    return Person(client, alice)


def send(person, content, filename="inscritos.csv", **fields):
    content = content.encode() if isinstance(content, str) else content
    return person.post(
        "/imports/new", {"file": (io.BytesIO(content), filename), **fields}, content_type="multipart/form-data"
    )


def left_over(settings):
    return list(settings.upload_dir.glob("*"))


def uploaded(session, person, content=CSV, **fields):
    response = send(person, content, **fields)
    assert response.status_code == 302, text_of(response)
    return session.scalars(select(Import).order_by(Import.id.desc())).first()


CHOICES = {
    "column_0": "email",
    "column_1": "name",
    "column_2": "new",
    "key_2": "region",
    "list_id": "new",
    "list_name": "Feria laboral",
}


def reviewed(session, settings, person, content=CSV):
    job = uploaded(session, person, content)
    assert person.post(f"/imports/{job.id}/mapping", CHOICES).status_code == 302
    imports.analyse(session, settings, job.id)
    return job


def imported(session, settings, person, content):
    """As the page proposes it: every column as it was guessed."""
    job = uploaded(session, person, content)
    page = person.get(f"/imports/{job.id}/mapping").text
    choices = dict(re.findall(r'name="(column_\d+)".*?<option value="([^"]+)" selected', page, re.DOTALL))
    keys = dict(re.findall(r'name="(key_\d+)" value="([^"]+)"', page))
    person.post(f"/imports/{job.id}/mapping", {**choices, **keys, "list_id": "new", "list_name": "Feria laboral"})
    imports.analyse(session, settings, job.id)
    session.refresh(job)
    if job.counts["new"]:
        person.post(f"/imports/{job.id}/confirm")
        imports.apply(session, settings, job.id)
    session.refresh(job)
    return job


def test_the_whole_way_of_a_file(session, settings, person):
    job = uploaded(session, person, CSV.encode("cp1252"))
    page = person.get(f"/imports/{job.id}/mapping").text
    for shown in ("María Peña", "Áncash", "Región", 'value="region"', "Windows-1252"):
        assert shown in page
    person.post(f"/imports/{job.id}/mapping", CHOICES)
    assert "En cola" in person.text(f"/imports/{job.id}")
    imports.analyse(session, settings, job.id)
    review = person.text(f"/imports/{job.id}")
    assert "Importar 2 contactos en «Feria laboral»" in review
    assert "1 fila no se importa." in review
    assert session.scalar(select(func.count()).select_from(MailingList)) == 0
    person.post(f"/imports/{job.id}/confirm")
    imports.apply(session, settings, job.id)
    assert "Contactos creados: 2. Actualizados: 0. Agregados a la lista: 2." in person.text(f"/imports/{job.id}")
    (row,) = session.scalars(select(MailingList))
    assert "María Peña" in person.text(f"/lists/{row.id}")
    assert "inscritos.csv" in person.text("/imports")


def test_progress_leads_on_when_the_work_is_done(session, settings, person):
    job = uploaded(session, person)
    person.post(f"/imports/{job.id}/mapping", CHOICES)
    waiting = person.get(f"/imports/{job.id}/progress", headers={"HX-Request": "true"})
    assert "HX-Redirect" not in waiting.headers
    imports.analyse(session, settings, job.id)
    assert person.get(f"/imports/{job.id}/progress").headers["HX-Redirect"] == f"/p/empleo/imports/{job.id}"


def test_figures_lead_to_their_rows_with_line_column_and_reason(session, settings, person):
    job = reviewed(session, settings, person)
    assert f"/p/empleo/imports/{job.id}/rows?outcome=invalid" in person.get(f"/imports/{job.id}").text
    rows = person.text(f"/imports/{job.id}/rows?outcome=invalid")
    assert "4 1 · Correo A la dirección le falta la arroba (@)." in rows
    assert "ana@example.pe" in person.text(f"/imports/{job.id}/rows?outcome=new")
    assert "ana@example.pe" in person.text(f"/imports/{job.id}/rows?outcome=nonsense")


def test_the_rows_of_the_file_add_up_before_the_persons_eyes(session, settings, person, panel):
    row = factories.mailing_list(session, panel, "Feria laboral")
    factories.contact(session, panel, "luz@example.pe", row, name="Luz Núñez", fields={"region": "Junín"})
    factories.contact(session, panel, "fue@example.pe", row, status=SubscriptionStatus.UNSUBSCRIBED)
    job = reviewed(session, settings, person, CSV + "ana@example.pe;Otra;Ica\n\nfue@example.pe;Fue;Ica\n")
    shown = person.text(f"/imports/{job.id}").split("Cómo suman las filas del archivo")[1]
    assert shown.startswith(
        " En la lista, y reciben correos Nuevos: 1 + Con cambios: 0 + Sin cambios: 1 2 "
        "+ Solo se actualizan sus datos Suprimidos: 0 + Dados de baja: 1 1 "
        "+ No se importan Rechazados: 1 + Repetidos: 1 2 "
        "= Filas del archivo Sin contar el encabezado ni las filas en blanco. 5 "
    )


def test_the_limit_is_told_as_it_is_set(person):
    assert "hasta 512 MB" in person.text("/imports/new")


def test_rejects_come_as_csv_with_defused_formulas(session, settings, person):
    job = reviewed(session, settings, person, CSV + "ana@example.pe;Otra;Ica\n")
    response = person.get(f"/imports/{job.id}/rejects.csv")
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert response.headers["Content-Disposition"] == "attachment; filename=rechazos-inscritos.csv"
    assert list(csv.reader(io.StringIO(response.text.removeprefix("\ufeff")), delimiter=";")) == [
        ["Fila rechazada", "Columna rechazada", "Motivo del rechazo", "Correo", "Nombre", "Región"],
        ["4", "1", "A la dirección le falta la arroba (@).", "malo", "'=1+1", "Ica"],
        ["5", "1", "La dirección ya está en la fila 2; vale la primera.", "ana@example.pe", "Otra", "Ica"],
    ]


@pytest.mark.parametrize("delimiter", [";", ",", "\t", "|"])
@pytest.mark.parametrize("locale", ["es", "en"])
def test_rejects_are_mended_and_uploaded_again(session, settings, client, alice, delimiter, locale):
    alice.locale = locale
    session.commit()
    person = Person(client, alice)
    bad = "luz;Luz =1+1;+51 999 999 999\nana@example.pe;@Ana;b;c\neva;-Eva;'x'\n"
    content = ("Correo;Nombre;Teléfono\n" + bad).replace(";", delimiter)
    job = imported(session, settings, person, content)
    rejects = person.get(f"/imports/{job.id}/rejects.csv").data.decode()
    again = imported(session, settings, person, rejects)  # Not mended yet: rejected as before, and says so once.
    assert (again.counts["invalid"], again.header[-1]) == (3, "Teléfono")
    twice = person.get(f"/imports/{again.id}/rejects.csv").data.decode()
    assert [len(line) for line in csv.reader(io.StringIO(twice), delimiter=delimiter)] == [6, 6, 7, 6]
    mended = twice.replace('"luz"', '"luz@example.pe"').replace('"eva"', '"eva@example.pe"').replace('"c"', "")
    mended = mended.replace(f'"b"{delimiter}\r', '"b"\r')
    last = imported(session, settings, person, mended)
    assert last.counts["new"] == 3, last.counts
    assert {(c.email, c.name, c.fields["telefono"]) for c in session.scalars(select(Contact))} == {
        ("luz@example.pe", "Luz =1+1", "+51 999 999 999"),
        ("ana@example.pe", "@Ana", "b"),
        ("eva@example.pe", "-Eva", "'x'"),
    }
    assert session.scalars(select(CustomField.key)).all() == ["telefono"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "El archivo está vacío."),
        (b"PK\x03\x04" + b"\0" * 100, "Es un libro de Excel"),
        (bytes(range(256)) * 50, "No es un archivo de texto."),
        ("correo;nombre\n", "El archivo solo tiene el encabezado"),
        (
            "Correo;Nombre;correo\na@example.pe;b;c@example.pe\n",
            "El encabezado «correo» está dos veces en la fila 1: en las columnas 1 y 3.",
        ),
        (";".join(f"c{n}" for n in range(250)) + "\n" + "a@example.pe\n", "La fila 1 tiene 250 columnas"),
        ('Correo;Nombre\na@example.pe;"Ana\n', 'En la fila 2, columna 2, se abre una comilla (") que nunca se cierra.'),
    ],
)
def test_a_bad_file_gets_a_sentence_and_leaves_nothing(session, settings, person, content, sentence):
    response = send(person, content)
    assert response.status_code == 422
    assert sentence in text_of(response)
    assert session.scalar(select(func.count()).select_from(Import)) == 0
    assert left_over(settings) == []


def test_a_file_over_the_limit_gets_a_sentence_not_a_bare_error(app, session, settings, person, monkeypatch):
    monkeypatch.setitem(app.extensions, "settings", dataclasses.replace(settings, max_upload_mb=1))
    response = send(person, b"correo\n" + b"ana@example.pe\n" * 150_000)
    assert response.status_code == 422
    assert "El archivo pesa más de" in text_of(response)
    assert left_over(settings) == []


def test_an_import_takes_more_than_any_other_page(session, person):
    response = send(person, b"correo\n" + b"ana@example.pe\n" * (MAX_BODY_BYTES // 15 + 10_000))
    assert response.status_code == 302
    assert session.scalars(select(Import.size_bytes)).one() > MAX_BODY_BYTES


@pytest.mark.parametrize("path", ["/login", "/p/empleo/imports/new", "/p/empleo/lists/new"])
def test_strangers_cannot_send_large_bodies(app, settings, panel, path):
    class Endless(io.RawIOBase):
        taken = 0

        def readable(self):
            return True

        def readinto(self, target):
            self.taken += len(target)
            return len(target)

    body = Endless()
    answer = app.test_client().post(
        path,
        content_type="multipart/form-data; boundary=x",
        environ_overrides={"wsgi.input": body, "CONTENT_LENGTH": str(MAX_BODY_BYTES + 1)},
    )
    assert answer.status_code in (302, 413)
    assert body.taken < 1024 * 1024
    assert left_over(settings) == []


def test_no_file_chosen(person):
    response = person.post("/imports/new", {}, content_type="multipart/form-data")
    assert (response.status_code, "Elija primero un archivo." in text_of(response)) == (422, True)


def test_upload_needs_the_csrf_token_although_it_checks_it_by_itself(session, person, settings):
    response = person.client.post(
        "/p/empleo/imports/new", data={"file": (io.BytesIO(CSV.encode()), "x.csv"), "csrf_token": "forged"}
    )
    assert response.status_code == 400
    assert session.scalar(select(func.count()).select_from(Import)) == 0
    assert left_over(settings) == []


def test_nothing_is_stored_for_people_who_may_not_upload(client, session, settings, bob, charlie, panel, other_panel):
    for user, status in ((bob, 403), (charlie, 404)):
        response = Person(client, user).client.post(
            "/p/empleo/imports/new", data={"file": (io.BytesIO(CSV.encode()), "x.csv")}
        )
        assert response.status_code == status
    assert not settings.upload_dir.exists() or list(settings.upload_dir.iterdir()) == []


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"column_0": "skip"}, "Ninguna columna está marcada como correo."),
        ({"column_1": "email"}, "Las columnas 1 y 2 están marcadas como correo."),
        ({"key_2": "nombre"}, "La clave «nombre» de la columna 3 no sirve"),
        ({"list_id": "", "list_name": ""}, "Elija la lista"),
        ({"list_id": "999"}, "Elija la lista"),
    ],
)
def test_a_wrong_mapping_is_shown_again_with_its_sentence(session, person, changed, sentence):
    job = uploaded(session, person)
    response = person.post(f"/imports/{job.id}/mapping", {**CHOICES, **changed})
    assert response.status_code == 422
    assert sentence in text_of(response)
    session.refresh(job)
    assert job.status is ImportStatus.UPLOADED


def test_an_import_makes_no_second_field_of_the_same_name(session, settings, person, panel):
    job = uploaded(session, person)
    factories.custom_field(session, panel, "lugar", label="REGION")
    refused = person.post(f"/imports/{job.id}/mapping", CHOICES)
    assert "La columna 3 crearía otro campo «REGION», que ya existe." in text_of(refused)
    assert person.post(f"/imports/{job.id}/mapping", {**CHOICES, "column_2": "field:lugar"}).status_code == 302


def test_a_field_that_somebody_made_meanwhile_is_told_from_the_imports(session, settings, person, panel):
    job = reviewed(session, settings, person)
    factories.custom_field(session, panel, "lugar", label="REGION")
    person.post(f"/imports/{job.id}/confirm")
    imports.apply(session, settings, job.id)
    assert set(session.scalars(select(CustomField.label))) == {"REGION", "Región (region)"}


def test_encoding_and_delimiter_can_be_tried_out_and_are_kept(session, settings, person):
    job = uploaded(session, person, CSV.encode("cp1252"))
    assert "�" in person.get(f"/imports/{job.id}/mapping?encoding=utf-8").text
    tried = person.text(f"/imports/{job.id}/mapping?encoding=cp1252&delimiter=,")
    assert "Correo;Nombre;Región" in tried
    person.post(f"/imports/{job.id}/mapping", {**CHOICES, "encoding": "latin-1", "delimiter": ";"})
    session.refresh(job)
    assert (job.encoding, job.delimiter) == ("latin-1", ";")


def test_an_encoding_that_does_not_fit_is_told_and_can_be_taken_back(session, person):
    job = uploaded(session, person)
    page = person.get(f"/imports/{job.id}/mapping?encoding=utf-16")
    assert page.status_code == 200
    assert "Leer de nuevo" in text_of(page)


def test_upload_from_a_list_keeps_that_list(session, person, panel):
    row = factories.mailing_list(session, panel)
    job = uploaded(session, person, list_id=str(row.id))
    assert job.list_id == row.id


def test_cancelled_imports_say_that_nothing_was_imported(session, settings, person):
    job = reviewed(session, settings, person)
    person.post(f"/imports/{job.id}/cancel")
    assert "Importación cancelada No se importó nada." in person.text(f"/imports/{job.id}")
    assert "Esta importación se canceló." in text_of(person.post(f"/imports/{job.id}/confirm", follow_redirects=True))
    assert session.scalar(select(func.count()).select_from(Contact)) == 0


def test_viewers_see_imports_and_start_none(client, session, settings, alice, bob):
    job = reviewed(session, settings, Person(client, alice))
    viewer = Person(client, bob)
    page = viewer.text(f"/imports/{job.id}")
    assert "2 contactos irán a la lista" in page
    assert "Importar 2 contactos" not in page
    for path in ("confirm", "cancel", "mapping"):
        assert viewer.post(f"/imports/{job.id}/{path}").status_code == 403
    assert viewer.get("/imports/new").status_code == 403
