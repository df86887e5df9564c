"""``flask contacts …`` and ``flask lists …``: importing, exporting and suppressing from scripts and cron, through the
same code as the pages.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from flask.cli import AppGroup
from flask_babel import gettext as _

from app.commands.terminal import find_panel, json_option, panel_option, refuse, say, table
from app.config import Settings
from app.current import current_settings
from app.extensions import db
from app.flow import custom_fields, imports, lists, suppressions
from app.flow.field_values import as_text
from app.flow.importing import review, store
from app.flow.importing.guess import SKIP
from app.flow.importing.mapping import mapping_by_header
from app.flow.importing.problems import ImportProblem
from app.models import (
    Import,
    ImportStatus,
    MailingList,
    Panel,
    RowOutcome,
    SubscriptionStatus,
    SuppressionReason,
)
from app.web.contacts import wording
from app.web.contacts.csv_answer import csv_lines

POLL_SECONDS = 0.2
WORKING = (ImportStatus.QUEUED, ImportStatus.ANALYSING, ImportStatus.CONFIRMED, ImportStatus.APPLYING)
Step = Callable[[Any, Settings, int], ImportStatus | None]

group = AppGroup("contacts", help="Contacts: import, export, suppress.")
lists_group = AppGroup("lists", help="Mailing lists: create, show.")


@group.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@panel_option
@click.option("--list", "list_name", required=True, help="Name of the list; made where there is none.")
@click.option(
    "--map",
    "maps",
    multiple=True,
    help='"Header=target": email, name, skip, a field, or new:key for a new field. Others are guessed.',
)
@click.option("--new-fields", is_flag=True, help="Make a field for each column that has none; else these are left out.")
@click.option("--encoding", help="Instead of the detected one (utf-8, cp1252 …).")
@click.option("--delimiter", help='Instead of the detected one (";", "," …).')
@click.option("--dry-run", is_flag=True, help="Say what would be imported, then cancel.")
@json_option
def import_file(
    file: Path,
    slug: str,
    list_name: str,
    maps: tuple[str, ...],
    new_fields: bool,
    encoding: str | None,
    delimiter: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Import FILE into a list, as the pages do: rows with a problem are left out and counted."""
    panel, settings = find_panel(slug), current_settings()
    try:
        with file.open("rb") as source, store.part_of(settings, source) as part:
            job = imports.create(db.session, settings, panel_id=panel.id, user_id=None, filename=file.name, part=part)
        left_out = _map(job, settings, list_name, maps, new_fields, encoding, delimiter)
        _run(job, settings, dry_run)
    except ImportProblem as problem:
        refuse(problem.code.value, wording.file_problem(problem), as_json)
    _report(job, left_out, as_json)


def _map(
    job: Import,
    settings: Settings,
    list_name: str,
    maps: tuple[str, ...],
    new_fields: bool,
    encoding: str | None,
    delimiter: str | None,
) -> list[str]:
    """Columns that are left out, since they have no field."""
    try:
        guessed = imports.guessed_mapping(db.session, settings, job, encoding=encoding, delimiter=delimiter)
        imports.save_mapping(
            db.session,
            settings,
            job,
            mapping=(mapping := mapping_by_header(guessed, maps, new_fields=new_fields)),
            list_name=list_name,
            encoding=encoding,
            delimiter=delimiter,
        )
    except ImportProblem:
        db.session.rollback()
        imports.cancel(db.session, settings, job)
        raise
    return [guessed.header[index] for index in guessed.new_columns() if mapping[str(index)] == SKIP]


def _run(job: Import, settings: Settings, dry_run: bool) -> None:
    _work_off(job, settings, imports.analyse)
    if job.status is ImportStatus.READY and dry_run:
        imports.cancel(db.session, settings, job)
    elif job.status is ImportStatus.READY:
        imports.confirm(db.session, job)
        _work_off(job, settings, imports.apply)


def _work_off(job: Import, settings: Settings, step: Step) -> None:
    """Do the step here; where a worker was faster, wait for it (and take over where it dies)."""
    while True:
        step(db.session, settings, job.id)
        db.session.refresh(job)
        if job.status not in WORKING:
            return
        db.session.commit()
        time.sleep(POLL_SECONDS)


def _report(job: Import, left_out: list[str], as_json: bool) -> None:
    db.session.refresh(job)
    if job.status is ImportStatus.FAILED:
        problem = ImportProblem.from_json(job.error or "{}")
        refuse(problem.code.value, wording.file_problem(problem), as_json)
    outcome = {
        "import_id": job.id,
        "status": job.status.value,
        "list_id": job.list_id,
        "imported": review.total(job.counts, *review.MAILED) if job.status is ImportStatus.DONE else 0,
        "rejected": review.total(job.counts, *review.REJECTED),
        "counts": job.counts,
        "left_out": left_out,
    }
    say(outcome, as_json, _outcome_table(job, left_out))


def _outcome_table(job: Import, left_out: list[str]) -> str:
    """What became of the rows, in the order of the review page."""
    counts = [(job.counts.get(kind, 0), wording.outcome_name(kind)) for kind in RowOutcome]
    status = wording.import_status_name(job.status)
    title = _("Importación %(id)s: %(status)s", id=job.id, status=status)
    told = title + "\n\n" + table([_("Filas"), _("Resultado")], [row for row in counts if row[0]])
    if not left_out:
        return told
    hint = _(
        "Columnas que no se importaron (con --map 'columna=new' o --new-fields se conservan): %(names)s",
        names=", ".join(left_out),
    )
    return f"{told}\n\n{hint}"


@group.command("export")
@panel_option
@click.option("--list", "list_name", required=True)
@click.option("--status", type=click.Choice([status.value for status in SubscriptionStatus]))
@click.argument("file", type=click.File("w", encoding="utf-8"), default="-")
def export(slug: str, list_name: str, status: str | None, file: Any) -> None:
    """Write the people of a list to FILE (or standard output) as CSV."""
    panel = find_panel(slug)
    row = _list(panel, list_name, as_json=False)
    fields = custom_fields.of_panel(db.session, panel.id)
    people = lists.export_people(db.session, row, SubscriptionStatus(status) if status else None)
    header = ["email", "nombre", *(field.key for field in fields), "estado"]
    rows = (
        [one.email, one.name, *(as_text(one.fields.get(field.key)) for field in fields), one.status] for one in people
    )
    for block in csv_lines(header, rows):
        file.write(block)


@group.command("suppress")
@panel_option
@click.argument("address")
@json_option
def suppress(slug: str, address: str, as_json: bool) -> None:
    """Never mail ADDRESS from this panel again."""
    panel = find_panel(slug)
    pasted = suppressions.suppress_pasted(db.session, panel.id, [address], SuppressionReason.MANUAL, None)
    for _number, typed, problem in pasted.refused:
        refuse(problem.value, f"{typed}: {wording.address_problem(problem.value)}", as_json)
    text = _("%(address)s ya estaba suprimida.") if pasted.already else _("%(address)s no recibirá más correos.")
    say({"added": pasted.added, "already": pasted.already}, as_json, text % {"address": address})


@group.command("tidy")
@json_option
def tidy(as_json: bool) -> None:
    """Forget the rows of imports that ended KEEP_IMPORT_DAYS ago, and files that no import needs."""
    forgotten = imports.tidy(db.session, current_settings(), now=datetime.now(UTC))
    say({"forgotten": forgotten}, as_json, _("Filas olvidadas: %(number)s", number=forgotten))


@lists_group.command("create")
@click.argument("name")
@panel_option
@click.option("--description", default="")
@json_option
def create_list(name: str, slug: str, description: str, as_json: bool) -> None:
    """Make the list NAME."""
    try:
        row = lists.create(db.session, find_panel(slug).id, name=name, description=description)
    except lists.ListProblem as problem:
        refuse(problem.code, wording.list_problem(problem.code), as_json)
    text = _("Se creó la lista %(id)s: %(name)s", id=row.id, name=row.name)
    say({"list_id": row.id, "name": row.name}, as_json, text)


@lists_group.command("show")
@click.argument("name", required=False)
@panel_option
@json_option
def show_lists(name: str | None, slug: str, as_json: bool) -> None:
    """The list NAME, or all lists of the panel, with how many people are on them."""
    panel = find_panel(slug)
    rows = [_list(panel, name, as_json=as_json)] if name else lists.choices(db.session, panel.id)
    counts = lists.counts(db.session, [row.id for row in rows])
    shown: list[dict[str, Any]] = [{"list_id": row.id, "name": row.name, **counts[row.id]} for row in rows]
    headers = ["ID", _("Lista"), _("Suscritas"), _("Dadas de baja")]
    cells = [(one["list_id"], one["name"], one["subscribed"], one["unsubscribed"]) for one in shown]
    say(shown[0] if name else shown, as_json, table(headers, cells))


def _list(panel: Panel, name: str, *, as_json: bool) -> MailingList:
    row = lists.named(db.session, panel.id, name)
    if row is None:
        refuse("no_list", wording.list_problem("no_list"), as_json)
    return row
