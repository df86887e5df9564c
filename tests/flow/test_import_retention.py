"""What imports keep of people: gone at once for somebody who is erased, gone for all after KEEP_IMPORT_DAYS."""

import dataclasses
import os
import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, update

from app.flow import contacts, imports
from app.flow.importing import retention, store
from app.models import Contact, Import, ImportRow, ImportStatus, Suppression
from tests import factories
from tests.flow.test_imports import analysed, imported, mapped, upload

CSV = (
    "Correo;Nombre;Edad\n"
    "ana@example.pe;Ana;30\n"
    "ANA@example.pe;Ana otra vez;30\n"  # duplicate
    "Ana@Example.pe;Ana;treinta\n"  # no number
    "Ana <ana@example.pe>;Ana;30\n"
    "ana @ example.pe;Ana;30\n"
    "ana@example.pe.;Ana;30\n"
    "x;escribe a ana@example.pe, por favor;30\n"
    "mariana@example.pe;Mariana;treinta\n"
    "ana@example.pe.test;Otra;treinta\n"
    "ana@example.pe-x.test;Otra;treinta\n"
    "luz@example.pe;Luz;30\n"
)
OF_OTHERS = {9, 10, 11, 12}
LATER = timedelta(days=30, minutes=1)


@pytest.fixture
def job(session, settings, panel):
    factories.custom_field(session, panel, "edad", type="number")
    return imported(session, settings, panel, CSV)


def lines(session, job):
    return set(session.scalars(select(ImportRow.line).where(ImportRow.import_id == job.id)))


def test_erasing_takes_the_person_out_of_rejected_rows_too_and_nobody_else(session, job, panel):
    ana = session.scalars(select(Contact).where(Contact.email == "ana@example.pe")).one()
    assert len(lines(session, job)) == 11
    contacts.erase(session, ana, user_id=1, keep_suppressed=False)
    assert lines(session, job) == OF_OTHERS
    assert set(session.scalars(select(Contact.email))) == {"luz@example.pe"}


def test_erasing_leaves_another_panels_rows_alone(session, settings, job, panel, other_panel, alice):
    elsewhere = imported(session, settings, other_panel, CSV)
    kept = lines(session, elsewhere)
    ana = session.scalars(select(Contact).where(Contact.email == "ana@example.pe", Contact.panel_id == panel.id)).one()
    contacts.erase(session, ana, user_id=alice.id, keep_suppressed=True)
    assert lines(session, elsewhere) == kept
    assert session.scalars(select(Suppression.panel_id)).one() == panel.id


@pytest.mark.parametrize(
    "cell",
    [
        "('ana@example.pe')",
        "http://example.test/?q=ana@example.pe",
        "correo=ana@example.pe&x=1",
        "'ana@example.pe",
        "ana%40example.pe",
        "http://example.test/?q%3DANA%40Example.pe",
        "mailto:ana@example.pe?subject=hola",
        "{ana@example.pe}",
        'dice "ana @ example.pe"',
    ],
)
def test_the_person_is_found_in_whatever_a_rejected_cell_says(session, settings, panel, cell):
    quoted = cell.replace('"', '""')
    job = analysed(session, settings, panel, f'Correo;Nombre\nx;"{quoted}"\nmariana%40example.pe x;b\n')
    assert retention.forget_person(session, panel.id, "ana@example.pe") == 1
    assert lines(session, job) == {3}


def test_an_address_with_signs_is_found_as_a_link_writes_it(session, settings, panel):
    job = analysed(session, settings, panel, "Correo;Nombre\nx;q=ana%2Bferia%40example.pe\ny;ana-feria@example.pe\n")
    assert retention.forget_person(session, panel.id, "ana+feria@example.pe") == 1
    assert lines(session, job) == {3}


@pytest.mark.parametrize("email", ["a.b+c@example.pe", "o'brien@example.pe", "a$b^c|d@example.pe", "a*b?@example.pe"])
def test_signs_in_an_address_mean_themselves_when_it_is_looked_for(session, settings, panel, email):
    job = analysed(
        session, settings, panel, f"Correo;Nombre\n{email};a;b;c\naxb+c@example.pe;a;b;c\nabcd@example.pe;a;b;c\n"
    )
    assert retention.forget_person(session, panel.id, email) == 1
    assert lines(session, job) == {3, 4}


def test_rows_are_forgotten_rejected_ones_included_when_their_days_are_over(session, settings, job):
    now = datetime.now(UTC)
    assert imports.tidy(session, settings, now=now + timedelta(days=29)) == 0
    assert imports.tidy(session, settings, now=now + LATER) == 11
    assert lines(session, job) == set()
    assert session.scalar(select(func.count()).select_from(Contact)) == 2
    session.refresh(job)
    assert job.counts["invalid"] == 8


def test_how_many_days_is_a_setting(session, settings, job):
    soon = dataclasses.replace(settings, keep_import_days=1)
    assert imports.tidy(session, soon, now=datetime.now(UTC) + timedelta(days=2)) == 11


def test_an_import_that_nobody_went_on_with_is_cancelled_and_its_people_forgotten(session, settings, panel):
    waiting = [
        upload(session, settings, panel, "correo\na@example.pe\n"),
        analysed(session, settings, panel, "correo\nb@example.pe\n"),
    ]
    queued = mapped(session, settings, panel, "correo\nc@example.pe\n")
    for file in settings.upload_dir.iterdir():
        os.utime(file, (0, 0))
    imports.tidy(session, settings, now=datetime.now(UTC) + LATER)
    session.expire_all()
    assert [one.status for one in waiting] == [ImportStatus.CANCELLED] * 2
    assert session.scalar(select(func.count()).select_from(ImportRow)) == 0
    assert queued.status is ImportStatus.QUEUED
    assert [file.name for file in settings.upload_dir.iterdir()] == [queued.stored_path]


def test_an_old_import_that_somebody_went_on_with_today_waits_its_days_anew(session, settings, panel):
    job = analysed(session, settings, panel, "correo\na@example.pe\n")
    gone = analysed(session, settings, panel, "correo\nb@example.pe\n")
    session.execute(update(Import).values(created_at=datetime.now(UTC) - LATER))
    imports.cancel(session, settings, gone)
    imports.tidy(session, settings, now=datetime.now(UTC))
    session.expire_all()
    assert job.status is ImportStatus.READY
    assert (lines(session, job), lines(session, gone)) == ({2}, {2})
    imports.tidy(session, settings, now=datetime.now(UTC) + LATER)
    session.expire_all()
    assert job.status is ImportStatus.CANCELLED
    assert (lines(session, job), lines(session, gone)) == (set(), set())


def test_files_left_behind_by_a_kill_go_and_young_ones_stay(session, settings, panel):
    needed = upload(session, settings, panel, "correo\na@example.pe\n")
    old, young, part = (settings.upload_dir / name for name in ("old.csv", "young.csv", "old.part"))
    for file in (old, young, part):
        file.write_text("correo\nana@example.pe\n")
    for file in (old, part, store.path_of(settings, needed.stored_path)):
        os.utime(file, (time.time() - 3 * 86400,) * 2)
    imports.tidy(session, settings, now=datetime.now(UTC))
    assert {file.name for file in settings.upload_dir.iterdir()} == {"young.csv", needed.stored_path}
    assert session.scalars(select(Import.status)).one() is ImportStatus.UPLOADED
