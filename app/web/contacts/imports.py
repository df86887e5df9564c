"""Imports: ``/p/<panel>/imports``. Upload, mapping, progress, review, result: one import, one address each."""

from collections.abc import Iterator

from flask import flash, make_response, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_login import current_user
from werkzeug.wrappers import Response

from app.current import current_settings
from app.extensions import csrf, db
from app.flow import custom_fields, lists
from app.flow import imports as flow
from app.flow.importing import review, store
from app.flow.importing.encodings import ENCODINGS
from app.flow.importing.guess import guess_mapping
from app.flow.importing.problems import ImportProblem
from app.flow.importing.read import DELIMITERS
from app.flow.importing.sniff import Sniffed
from app.models import Import, ImportRow, ImportStatus, Role, RowOutcome
from app.web.contacts.csv_answer import csv_answer
from app.web.contacts.mapping_form import columns_of, faulty_field, mapping_from, target_from
from app.web.contacts.uploading import take_upload
from app.web.contacts.wording import TEMPLATE_WORDS, file_problem, row_problem
from app.web.paging import page_by_key
from app.web.scope import current_panel, get_or_404, panel_blueprint, requires

blueprint = panel_blueprint("imports", __name__, prefix="/imports")
blueprint.context_processor(lambda: TEMPLATE_WORDS)

MAPPABLE = (ImportStatus.UPLOADED, ImportStatus.READY)
WORKING = (ImportStatus.QUEUED, ImportStatus.ANALYSING, ImportStatus.CONFIRMED, ImportStatus.APPLYING)


@blueprint.get("")
def index() -> str:
    page = page_by_key(
        flow.of_panel(current_panel.id),
        sorts={"created": Import.created_at, "file": Import.filename},
        key=Import.id,
        default="-created",
    )
    return render_template("imports/index.html", page=page, review=review)


@blueprint.get("/new")
@requires(Role.EDITOR)
def new() -> str:
    return _upload_page()


def _upload_page(problem: ImportProblem | None = None) -> str:
    return render_template(
        "imports/new.html",
        problem=problem,
        lists=lists.choices(db.session, current_panel.id),
        limit_bytes=store.limit_bytes(current_settings()),
    )


@blueprint.post("/new")
@csrf.exempt  # type: ignore[untyped-decorator]  # Flask-WTF has no types
@requires(Role.EDITOR)
def upload() -> Response | tuple[str, int]:
    """Exempt from the check that comes before every view: ``take_upload`` makes it (see there)."""
    try:
        with take_upload(current_settings(), "file") as (filename, part):
            job = flow.create(
                db.session,
                current_settings(),
                panel_id=current_panel.id,
                user_id=current_user.id,
                filename=filename,
                part=part,
                list_id=target_from(request.form)[0],
            )
    except ImportProblem as problem:
        return _upload_page(problem), 422
    return redirect(url_for("imports.mapping", import_id=job.id))


@blueprint.get("/<int:import_id>")
def show(import_id: int) -> str | Response:
    job = get_or_404(Import, import_id)
    if job.status is ImportStatus.UPLOADED:
        return redirect(url_for("imports.mapping", import_id=import_id))
    template = "progress" if job.status in WORKING else "review" if job.status is ImportStatus.READY else "result"
    return render_template(
        f"imports/{template}.html",
        job=job,
        review=review,
        outcomes=RowOutcome,
        has_rows=review.has_rows(db.session, job),
        keep_import_days=current_settings().keep_import_days,
    )


@blueprint.get("/<int:import_id>/progress")
def progress(import_id: int) -> Response:
    """The moving part of the progress page; leads on when the work is done."""
    job = get_or_404(Import, import_id)
    response = make_response(render_template("imports/_progress.html", job=job))
    if job.status not in WORKING:
        response.headers["HX-Redirect"] = url_for("imports.show", import_id=import_id)
    return response


@blueprint.get("/<int:import_id>/mapping")
@requires(Role.EDITOR)
def mapping(import_id: int) -> str | Response:
    job = get_or_404(Import, import_id)
    if job.status not in MAPPABLE:
        return redirect(url_for("imports.show", import_id=import_id))
    encoding, delimiter = request.args.get("encoding"), request.args.get("delimiter")
    try:
        seen = flow.look(current_settings(), job, encoding=encoding, delimiter=delimiter)
    except ImportProblem as problem:
        return _mapping_page(job, None, {}, problem)
    same = (seen.encoding, seen.delimiter) == (job.encoding, job.delimiter)
    fields = custom_fields.of_panel(db.session, current_panel.id)
    return _mapping_page(job, seen, job.mapping if same else guess_mapping(seen, fields))


def _mapping_page(
    job: Import, seen: Sniffed | None, chosen: dict[str, str], problem: ImportProblem | None = None
) -> str:
    fields = custom_fields.of_panel(db.session, current_panel.id)
    return render_template(
        "imports/mapping.html",
        job=job,
        seen=seen,
        columns=columns_of(seen, chosen, fields) if seen else [],
        fields=fields,
        lists=lists.choices(db.session, current_panel.id),
        problem=problem,
        faulty=faulty_field(problem, request.form) if problem and seen else None,
        encodings=ENCODINGS,
        delimiters=DELIMITERS,
        tried={"encoding": request.values.get("encoding"), "delimiter": request.values.get("delimiter")},
    )


@blueprint.post("/<int:import_id>/mapping")
@requires(Role.EDITOR)
def save_mapping(import_id: int) -> Response | tuple[str, int]:
    job = get_or_404(Import, import_id)
    encoding, delimiter = request.form.get("encoding"), request.form.get("delimiter")
    list_id, list_name = target_from(request.form)
    chosen, seen = {}, None
    try:
        seen = flow.look(current_settings(), job, encoding=encoding, delimiter=delimiter)
        chosen = mapping_from(request.form, len(seen.header))
        flow.save_mapping(
            db.session,
            current_settings(),
            job,
            mapping=chosen,
            list_id=list_id,
            list_name=list_name,
            encoding=encoding,
            delimiter=delimiter,
        )
    except ImportProblem as problem:
        return _mapping_page(job, seen, chosen, problem), 422
    return redirect(url_for("imports.show", import_id=import_id))


@blueprint.post("/<int:import_id>/confirm")
@requires(Role.EDITOR)
def confirm(import_id: int) -> Response:
    try:
        flow.confirm(db.session, get_or_404(Import, import_id))
    except ImportProblem as problem:
        flash(file_problem(problem), "warning")
    return redirect(url_for("imports.show", import_id=import_id))


@blueprint.post("/<int:import_id>/cancel")
@requires(Role.EDITOR)
def cancel(import_id: int) -> Response:
    try:
        flow.cancel(db.session, current_settings(), get_or_404(Import, import_id))
    except ImportProblem as problem:
        flash(file_problem(problem), "warning")
    else:
        flash(_("La importación está cancelada. No se importó nada."), "success")
    return redirect(url_for("imports.show", import_id=import_id))


@blueprint.get("/<int:import_id>/rows")
def rows(import_id: int) -> str:
    job = get_or_404(Import, import_id)
    asked = request.args.get("outcome")
    outcome = RowOutcome(asked) if asked in list(RowOutcome) else None
    page = page_by_key(review.rows_of(job, outcome), sorts={"line": ImportRow.line}, key=ImportRow.line, default="line")
    return render_template(
        "imports/rows.html",
        job=job,
        page=page,
        outcome=outcome,
        outcomes=RowOutcome,
        original_cells=review.original_cells,
        keep_import_days=current_settings().keep_import_days,
    )


@blueprint.get("/<int:import_id>/rejects.csv")
def rejects(import_id: int) -> Response:
    """With the delimiter of the upload and its columns, so that it can be mended and uploaded in turn."""
    job = get_or_404(Import, import_id)
    own = review.own_columns(job)
    header = [_("Fila rechazada"), _("Columna rechazada"), _("Motivo del rechazo")]
    header += [job.header[at] or _("Columna %(number)s", number=at + 1) for at in own]
    return csv_answer(f"rechazos-{job.filename}", header, _rejects(job, own), job.delimiter)


def _rejects(job: Import, own: list[int]) -> Iterator[list[str]]:
    for row in review.rejected_rows(db.session, job):
        cells = review.original_cells(job, row)
        surplus = cells[len(job.header) :]
        kept = [cells[at] if at < len(cells) else "" for at in own]
        yield [row.line, row.column or "", row_problem(row.reason), *kept, *surplus]
