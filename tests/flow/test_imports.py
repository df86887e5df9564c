"""From a file to contacts and subscriptions, on a real PostgreSQL: what is imported, what never is, and what a kill,
a cancel or a second run leaves behind."""

import threading
import time
from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select, text

from app.extensions import db
from app.flow import imports
from app.flow.importing import claims, review, store
from app.flow.importing import stage as staging
from app.flow.importing.problems import FileProblem, ImportProblem
from app.models import (
    Contact,
    CustomField,
    FieldType,
    Import,
    ImportRow,
    ImportStatus,
    MailingList,
    Subscription,
    SubscriptionStatus,
    Suppression,
    SuppressionReason,
)
from tests import factories

CSV = "Correo;Nombre;Región\nana@example.pe;María Peña;Áncash\nluz@example.pe;Luz Núñez;Junín\n"


def upload(session, settings, panel, content, filename="contactos.csv"):
    part = store.new_part(settings)
    part.write_bytes(content if isinstance(content, bytes) else content.encode())
    return imports.create(session, settings, panel_id=panel.id, user_id=None, filename=filename, part=part)


def mapped(session, settings, panel, content, list_name="Feria laboral", mapping=None):
    job = upload(session, settings, panel, content)
    imports.save_mapping(session, settings, job, mapping=mapping or job.mapping, list_name=list_name)
    return job


def analysed(session, settings, panel, content, **kwargs):
    job = mapped(session, settings, panel, content, **kwargs)
    assert imports.analyse(session, settings, job.id) is ImportStatus.READY, job.error
    session.refresh(job)
    return job


def imported(session, settings, panel, content, **kwargs):
    job = analysed(session, settings, panel, content, **kwargs)
    imports.confirm(session, job)
    assert imports.apply(session, settings, job.id) is ImportStatus.DONE, job.error
    session.refresh(job)
    return job


def outcomes(session, job):
    rows = session.scalars(select(ImportRow).where(ImportRow.import_id == job.id).order_by(ImportRow.line))
    return [(row.line, row.outcome.value, row.column, row.reason) for row in rows]


def people(session):
    return {c.email: (c.name, c.fields) for c in session.scalars(select(Contact))}


def test_nothing_of_the_panel_changes_before_the_person_confirms(session, settings, panel):
    job = analysed(session, settings, panel, CSV)
    assert job.counts == {
        "new": 2,
        "changed": 0,
        "unchanged": 0,
        "duplicate": 0,
        "invalid": 0,
        "suppressed": 0,
        "unsubscribed": 0,
        "total": 2,
    }
    for model in (Contact, Subscription, MailingList, CustomField):
        assert session.scalar(select(func.count()).select_from(model)) == 0


def test_windows_1252_file_arrives_with_its_accents_in_list_and_fields(session, settings, panel):
    job = imported(session, settings, panel, CSV.encode("cp1252"))
    assert people(session) == {
        "ana@example.pe": ("María Peña", {"region": "Áncash"}),
        "luz@example.pe": ("Luz Núñez", {"region": "Junín"}),
    }
    assert {c.domain for c in session.scalars(select(Contact))} == {"example.pe"}
    assert session.scalars(select(MailingList)).one().name == "Feria laboral"
    assert {s.source for s in session.scalars(select(Subscription))} == {f"import:{job.id}"}
    field = session.scalars(select(CustomField)).one()
    assert (field.key, field.label, field.type) == ("region", "Región", FieldType.TEXT)
    assert {key: job.counts[key] for key in ("created", "updated", "subscribed")} == {
        "created": 2,
        "updated": 0,
        "subscribed": 2,
    }
    assert job.finished_at is not None


def test_importing_twice_equals_importing_once(session, settings, panel):
    imported(session, settings, panel, CSV)
    before = people(session), {(s.contact_id, s.source) for s in session.scalars(select(Subscription))}
    again = imported(session, settings, panel, CSV)
    assert again.counts["unchanged"] == 2
    assert (again.counts["created"], again.counts["updated"], again.counts["subscribed"]) == (0, 0, 0)
    assert before == (people(session), {(s.contact_id, s.source) for s in session.scalars(select(Subscription))})


def test_every_row_gets_its_outcome_and_rejects_their_place(session, settings, panel):
    row = factories.mailing_list(session, panel)
    factories.contact(session, panel, "igual@example.pe", row, name="Igual")
    factories.contact(session, panel, "otra@example.pe", name="Otra")
    factories.contact(session, panel, "cambia@example.pe", row, name="Antes")
    factories.contact(session, panel, "fue@example.pe", row, status=SubscriptionStatus.UNSUBSCRIBED)
    session.add(Suppression(panel_id=panel.id, email="nunca@example.pe", reason=SuppressionReason.MANUAL))
    session.add(Suppression(panel_id=None, email="tampoco@example.pe", reason=SuppressionReason.COMPLAINT))
    session.commit()
    content = (
        "Correo;Nombre\nigual@example.pe;Igual\notra@example.pe;Otra\ncambia@example.pe;Después\nfue@example.pe;Fue\n"
        "nunca@example.pe;N\ntampoco@example.pe;T\nnueva@example.pe;Nueva\nNUEVA@example.pe;Otra vez\nmalo;x\n\n"
        "uno@example.pe;a;b\nCorreo;Nombre\n"
    )
    job = analysed(session, settings, panel, content)
    assert outcomes(session, job) == [
        (2, "unchanged", None, None),
        (3, "changed", None, None),  # known, but not on this list yet
        (4, "changed", None, None),
        (5, "unsubscribed", None, None),
        (6, "suppressed", None, None),
        (7, "suppressed", None, None),
        (8, "new", None, None),
        (9, "duplicate", 1, "duplicate:8"),
        (10, "invalid", 1, "email_missing_at"),
        (12, "invalid", 3, "too_many_cells"),
        (13, "invalid", 1, "repeated_header"),
    ]
    assert job.counts["total"] == 11


def test_suppressions_of_another_panel_do_not_count(session, settings, panel, other_panel):
    session.add(Suppression(panel_id=other_panel.id, email="ana@example.pe", reason=SuppressionReason.MANUAL))
    session.commit()
    factories.contact(session, other_panel, "luz@example.pe", name="De la otra")
    assert analysed(session, settings, panel, CSV).counts["new"] == 2


def test_consent_is_never_reset_and_suppressed_people_are_kept_up_to_date(session, settings, panel):
    row = factories.mailing_list(session, panel)
    gone = factories.contact(session, panel, "ana@example.pe", row, status=SubscriptionStatus.UNSUBSCRIBED, name="Ana")
    session.add(Suppression(panel_id=panel.id, email="luz@example.pe", reason=SuppressionReason.MANUAL))
    session.commit()
    imported(session, settings, panel, CSV)
    session.expire_all()
    subscription = session.get(Subscription, (row.id, gone.id))
    assert (subscription.status, subscription.source) == (SubscriptionStatus.UNSUBSCRIBED, "manual:test")
    assert people(session)["ana@example.pe"] == ("María Peña", {"region": "Áncash"})
    assert people(session)["luz@example.pe"][0] == "Luz Núñez"
    assert session.scalar(select(func.count()).select_from(Suppression)) == 1


def test_an_empty_cell_never_wipes_a_value_and_fields_are_merged(session, settings, panel):
    factories.custom_field(session, panel, "region")
    factories.contact(session, panel, "ana@example.pe", name="Ana", fields={"region": "Lima", "edad": 30})
    imported(session, settings, panel, "Correo;Nombre;Región;RUC\nana@example.pe;;;20100000001\n")
    assert people(session)["ana@example.pe"] == ("Ana", {"region": "Lima", "edad": 30, "ruc": "20100000001"})


def test_typed_fields_are_read_as_their_type(session, settings, panel):
    factories.custom_field(session, panel, "edad", type=FieldType.NUMBER)
    factories.custom_field(session, panel, "nacimiento", type=FieldType.DATE)
    content = "correo;edad;nacimiento\nana@example.pe;30;31/12/1990\nluz@example.pe;mucha;\n"
    job = imported(session, settings, panel, content)
    assert people(session) == {"ana@example.pe": ("", {"edad": 30, "nacimiento": "1990-12-31"})}
    assert outcomes(session, job)[1] == (3, "invalid", 2, "not_a_number")


def test_headerless_file_is_read_from_its_first_line(session, settings, panel):
    job = imported(session, settings, panel, "ana@example.pe\nluz@example.pe\n")
    assert [line for line, *_ in outcomes(session, job)] == [1, 2]
    assert set(people(session)) == {"ana@example.pe", "luz@example.pe"}


def test_bytes_that_the_encoding_lacks_reject_their_row_only(session, settings, panel):
    content = CSV.encode() + b"eva@example.pe;Mu\xf1oz;Ica\nfin@example.pe;a\x00b;Ica\n"
    job = upload(session, settings, panel, content)
    imports.save_mapping(session, settings, job, mapping=job.mapping, list_name="Feria", encoding="utf-8")
    imports.analyse(session, settings, job.id)
    assert outcomes(session, job)[2:] == [(4, "invalid", 2, "unreadable"), (5, "invalid", 2, "nul")]
    assert [r.cells[1] for r in review.rejected_rows(session, job)] == ["Mu�oz", "a␀b"]


@pytest.mark.parametrize(
    ("content", "code", "place"),
    [
        (CSV + 'eva@example.pe;"Eva;Ica\n' + "x@example.pe;X;Ica\n" * 5, FileProblem.UNCLOSED_QUOTE, (4, 2)),
        (CSV + "eva@example.pe;" + "x" * 140_000 + ";Ica\n", FileProblem.CELL_TOO_LARGE, (4, 2)),
    ],
)
def test_what_can_not_be_read_to_its_end_fails_with_its_place_and_imports_nothing(
    session, settings, panel, content, code, place
):
    # The damage stands behind the lines that the sniffing sees.
    lines = CSV.count("\n")
    filler = "".join(f"p{n}@example.pe;P;Ica\n" for n in range(500))
    head, tail = content[: len(CSV)], content[len(CSV) :]
    job = mapped(session, settings, panel, head + filler + tail)
    assert imports.analyse(session, settings, job.id) is ImportStatus.FAILED
    session.refresh(job)
    problem = ImportProblem.from_json(job.error)
    assert (problem.code, problem.details["line"], problem.details["column"]) == (
        code,
        place[0] + 500 - 3 + lines,
        place[1],
    )
    for model in (Contact, ImportRow, MailingList):
        assert session.scalar(select(func.count()).select_from(model)) == 0
    assert not store.path_of(settings, job.stored_path).exists()


@pytest.mark.parametrize(
    ("mapping", "code"),
    [
        ({"0": "skip", "1": "name", "2": "skip"}, FileProblem.NO_EMAIL_COLUMN),
        ({"0": "email", "1": "email", "2": "skip"}, FileProblem.SEVERAL_EMAIL_COLUMNS),
        ({"0": "email", "1": "name", "2": "name"}, FileProblem.SEVERAL_NAME_COLUMNS),
        ({"0": "email", "1": "field:x", "2": "field:x"}, FileProblem.FIELD_TWICE),
        ({"0": "email", "1": "field:nombre"}, FileProblem.BAD_FIELD_KEY),
        ({"0": "email", "1": "field:Región"}, FileProblem.BAD_FIELD_KEY),
        ({"0": "email", "1": "field:a'; DROP TABLE contact"}, FileProblem.BAD_FIELD_KEY),
        ({"0": "email", "1": "anything"}, FileProblem.BAD_FIELD_KEY),
    ],
)
def test_a_wrong_mapping_is_refused_and_the_import_stays_where_it_was(session, settings, panel, mapping, code):
    job = upload(session, settings, panel, CSV)
    with pytest.raises(ImportProblem) as caught:
        imports.save_mapping(session, settings, job, mapping=mapping, list_name="Feria")
    assert caught.value.code is code
    assert job.status is ImportStatus.UPLOADED
    assert imports.due(session) == []


def test_lists_of_other_panels_and_archived_ones_are_no_target(session, settings, panel, other_panel):
    foreign = factories.mailing_list(session, other_panel)
    archived = factories.mailing_list(session, panel, "Vieja", archived_at=datetime.now(UTC))
    job = upload(session, settings, panel, CSV)
    for list_id, code in ((foreign.id, FileProblem.NO_LIST), (archived.id, FileProblem.LIST_ARCHIVED)):
        with pytest.raises(ImportProblem) as caught:
            imports.save_mapping(session, settings, job, mapping=job.mapping, list_id=list_id)
        assert caught.value.code is code


def test_a_file_larger_than_allowed_is_not_stored(session, settings):
    class Endless:
        def read(self, size):
            return b"x" * size

    tiny = settings.__class__(**{**settings.__dict__, "max_upload_mb": 3})
    with pytest.raises(ImportProblem) as caught, store.part_of(tiny, Endless()):
        pass
    assert caught.value.code is FileProblem.TOO_LARGE
    assert list(settings.upload_dir.iterdir()) == []


def test_parts_left_by_cut_connections_are_swept(settings):
    import os

    abandoned, fresh = store.new_part(settings), store.new_part(settings)
    long_ago = time.time() - 2 * store.ABANDONED_AFTER_SECONDS
    os.utime(abandoned, (long_ago, long_ago))
    store.new_part(settings)
    assert (abandoned.exists(), fresh.exists()) == (False, True)


# Killed, slow and competing workers.


class Killed(BaseException):
    """Stands for SIGKILL: nothing may catch it."""


def kill_on(monkeypatch, module, name):
    def die(*args, **kwargs):
        raise Killed

    monkeypatch.setattr(module, name, die)


def expire_lease(session, job):
    session.rollback()
    session.execute(
        text("UPDATE import SET lease_expires_at = now() - interval '1 second' WHERE id = :id"), {"id": job.id}
    )
    session.commit()


def test_analysis_killed_midway_starts_over_when_its_lease_has_expired(session, settings, panel, monkeypatch):
    job = mapped(session, settings, panel, CSV)
    with monkeypatch.context() as patched, pytest.raises(Killed):
        kill_on(patched, imports, "classify")  # all rows are staged by then
        imports.analyse(session, settings, job.id)
    session.rollback()  # what the database does when the connection is gone
    session.refresh(job)
    assert job.status is ImportStatus.ANALYSING
    assert imports.due(session) == []
    assert imports.analyse(session, settings, job.id) is None, "another worker still holds the lease"
    expire_lease(session, job)
    assert imports.due(session) == [("analyse", job.id)]
    assert imports.analyse(session, settings, job.id) is ImportStatus.READY
    assert len(outcomes(session, job)) == 2


def test_applying_killed_midway_imports_nothing_and_then_everything_once(session, settings, panel, monkeypatch):
    job = analysed(session, settings, panel, CSV)
    imports.confirm(session, job)
    with monkeypatch.context() as patched, pytest.raises(Killed):
        kill_on(patched, claims, "finish")  # contacts and subscriptions are written by then
        imports.apply(session, settings, job.id)
    session.rollback()
    assert people(session) == {}
    assert imports.apply(session, settings, job.id) is None
    expire_lease(session, job)
    assert imports.due(session) == [("apply", job.id)]
    assert imports.apply(session, settings, job.id) is ImportStatus.DONE
    assert len(people(session)) == 2


def test_worker_that_lost_its_lease_changes_nothing(session, settings, panel, monkeypatch):
    """It wakes up after another worker has taken over and finished."""
    job = mapped(session, settings, panel, CSV)
    classify = imports.classify

    def slow(session_, job_, **kwargs):
        counts = classify(session_, job_, **kwargs)
        with db.engine.begin() as other:
            other.execute(text("UPDATE import SET claim = claim + 1 WHERE id = :id"), {"id": job_.id})
        return {**counts, "new": 999}

    monkeypatch.setattr(imports, "classify", slow)
    assert imports.analyse(session, settings, job.id) is None
    session.refresh(job)
    assert (job.status, job.counts) == (ImportStatus.ANALYSING, {})
    assert outcomes(session, job) == []


def test_cancelling_stops_a_running_analysis_and_leaves_nothing(session, settings, panel, monkeypatch):
    job = mapped(session, settings, panel, "Correo\n" + "".join(f"p{n}@example.pe\n" for n in range(300)))
    import_id, stored = job.id, job.stored_path
    monkeypatch.setattr(claims, "BEAT_SECONDS", 0.05)
    monkeypatch.setattr(staging, "ROWS_PER_BLOCK", 10)
    stage_one = staging.copy_line
    started = threading.Event()

    def slowly(row):
        started.set()
        time.sleep(0.01)
        return stage_one(row)

    monkeypatch.setattr(staging, "copy_line", slowly)

    def cancel_it():
        from flask import current_app

        assert current_app is not None
        started.wait(10)
        imports.cancel(db.session, settings, db.session.get_one(Import, import_id))
        db.session.remove()

    app = __import__("flask").current_app._get_current_object()

    def run():
        with app.app_context():
            cancel_it()

    thread = threading.Thread(target=run)
    thread.start()
    begun = time.monotonic()
    assert imports.analyse(session, settings, import_id) is None
    assert time.monotonic() - begun < 2
    thread.join()
    session.expire_all()
    assert session.get_one(Import, import_id).status is ImportStatus.CANCELLED
    assert session.scalar(select(func.count()).select_from(ImportRow)) == 0
    assert not store.path_of(settings, stored).exists()


def test_cancelling_interrupts_a_statement_that_runs(session, settings, panel, monkeypatch):
    job = mapped(session, settings, panel, CSV)
    import_id = job.id
    monkeypatch.setattr(claims, "BEAT_SECONDS", 0.05)

    def endless(session_, job_, **kwargs):
        with db.engine.begin() as other:
            other.execute(text("UPDATE import SET status = 'cancelled' WHERE id = :id"), {"id": job_.id})
        session_.execute(text("SELECT pg_sleep(30)"))

    monkeypatch.setattr(imports, "classify", endless)
    begun = time.monotonic()
    assert imports.analyse(session, settings, import_id) is None
    assert time.monotonic() - begun < 3


def test_heartbeat_keeps_the_lease_of_a_slow_worker(session, settings, panel, monkeypatch):
    job = mapped(session, settings, panel, CSV)
    monkeypatch.setattr(claims, "BEAT_SECONDS", 0.05)
    short = settings.__class__(**{**settings.__dict__, "lease_seconds": 1})
    classify = imports.classify

    def slow(session_, job_, **kwargs):
        time.sleep(1.5)
        with db.engine.begin() as other:
            assert other.scalar(text("SELECT lease_expires_at > now() FROM import"))
        return classify(session_, job_, **kwargs)

    monkeypatch.setattr(imports, "classify", slow)
    assert imports.analyse(session, short, job.id) is ImportStatus.READY


def test_our_own_fault_fails_the_import_with_a_sentence_and_no_loop(session, settings, panel, monkeypatch):
    job = mapped(session, settings, panel, CSV)
    monkeypatch.setattr(imports, "classify", lambda *args, **kwargs: 1 / 0)
    assert imports.analyse(session, settings, job.id) is ImportStatus.FAILED
    session.refresh(job)
    assert ImportProblem.from_json(job.error).code is FileProblem.UNEXPECTED
    assert imports.due(session) == []


def test_the_stored_file_gone_fails_the_import(session, settings, panel):
    job = mapped(session, settings, panel, CSV)
    store.discard(settings, job.stored_path)
    assert imports.analyse(session, settings, job.id) is ImportStatus.FAILED
    session.refresh(job)
    assert ImportProblem.from_json(job.error).code is FileProblem.MISSING


def test_steps_out_of_turn_are_refused(session, settings, panel):
    job = imported(session, settings, panel, CSV)
    for step in (
        lambda: imports.confirm(session, job),
        lambda: imports.cancel(session, settings, job),
    ):
        with pytest.raises(ImportProblem) as caught:
            step()
        assert caught.value.details == {"status": "done"}
        session.rollback()
    assert imports.apply(session, settings, job.id) is None
    assert imports.analyse(session, settings, job.id) is None


def test_mapping_may_be_changed_after_the_review(session, settings, panel):
    job = analysed(session, settings, panel, CSV)
    imports.save_mapping(
        session, settings, job, mapping={"0": "email", "1": "skip", "2": "field:zona"}, list_name="Otra"
    )
    assert imports.due(session) == [("analyse", job.id)]
    imports.analyse(session, settings, job.id)
    session.refresh(job)
    imports.confirm(session, job)
    imports.apply(session, settings, job.id)
    assert people(session)["ana@example.pe"] == ("", {"zona": "Áncash"})
    assert session.scalars(select(MailingList.name)).all() == ["Otra"]


def test_two_imports_of_the_same_people_at_once_end_alike(app, session, settings, panel):
    """They run in opposite order of the file and take the same locks in the same order."""
    emails = [f"p{n}@example.pe" for n in range(2000)]
    jobs = []
    for order in (emails, emails[::-1]):
        job = analysed(session, settings, panel, "correo\n" + "\n".join(order) + "\n")
        imports.confirm(session, job)
        jobs.append(job.id)
    ended = []

    def run(import_id):
        with app.app_context():
            ended.append(imports.apply(db.session, settings, import_id))
            db.session.remove()

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ended == [ImportStatus.DONE, ImportStatus.DONE]
    assert session.scalar(select(func.count()).select_from(Contact)) == 2000
    assert session.scalar(select(func.count()).select_from(Subscription)) == 2000


def test_original_cells_of_duplicates_are_those_that_were_imported(session, settings, panel):
    job = analysed(
        session,
        settings,
        panel,
        "Nota;Correo;Nombre\nx;ana@example.pe;Ana\ny;ANA@example.pe;Otra\n",
        mapping={"0": "skip", "1": "email", "2": "name"},
    )
    (row,) = review.rejected_rows(session, job)
    assert review.original_cells(job, row) == ["", "ana@example.pe", "Otra"]


def test_uploaded_files_go_when_their_import_has_ended(session, settings, panel):
    job = imported(session, settings, panel, CSV)
    assert not store.path_of(settings, job.stored_path).exists()
    assert list(settings.upload_dir.iterdir()) == []


def test_a_hostile_file_name_touches_no_path(session, settings, panel):
    job = upload(session, settings, panel, CSV, filename="../../etc/cron.d/x\x00\n.csv")
    assert job.filename == "../../etc/cron.d/x.csv"
    assert store.path_of(settings, job.stored_path).parent == settings.upload_dir
