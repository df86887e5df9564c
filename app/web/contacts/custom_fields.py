"""Custom fields: ``/p/<panel>/custom-fields``."""

from flask import flash, redirect, render_template, url_for
from flask_babel import gettext as _
from flask_wtf import FlaskForm
from werkzeug.wrappers import Response

from app.extensions import db
from app.flow import custom_fields as flow
from app.models import CustomField, FieldType, Role
from app.web.contacts.forms import FieldForm, RenameForm
from app.web.contacts.wording import TEMPLATE_WORDS
from app.web.scope import current_panel, get_or_404, panel_blueprint, requires

blueprint = panel_blueprint("custom_fields", __name__, prefix="/custom-fields")
blueprint.context_processor(lambda: TEMPLATE_WORDS)


@blueprint.get("")
def index() -> str:
    return render_template("custom_fields/index.html", fields=flow.of_panel(db.session, current_panel.id))


@blueprint.route("/new", methods=["GET", "POST"])
@requires(Role.EDITOR)
def new() -> str | Response:
    form = FieldForm()
    if form.validate_on_submit():
        try:
            field = flow.create(
                db.session,
                current_panel.id,
                key=form.key.data,
                label=form.label.data.strip(),
                type_=FieldType(form.type.data),
            )
        except flow.FieldProblem as problem:
            _show_problem(form, problem)
        else:
            flash(_("El campo «%(label)s» está creado.", label=field.label), "success")
            return redirect(url_for("custom_fields.index"))
    return render_template("custom_fields/form.html", form=form, field=None)


def _show_problem(form: FieldForm | RenameForm, problem: flow.FieldProblem) -> None:
    if problem.code == "taken_label":
        told = _(
            "Ya hay un campo «%(label)s». Use ese, o elija un nombre que no se confunda con él.", **problem.details
        )
        form.label.errors = [told]
    else:
        form.key.errors = [_key_problem(problem)]


def _key_problem(problem: flow.FieldProblem) -> str:
    words: dict[str, str] = {
        "reserved_key": _("email, nombre y enlace_baja ya existen en todas las campañas. Elija otra clave."),
        "taken_key": _("Otro campo de esta plataforma ya tiene esa clave."),
        "emptying_key": _(
            "Los valores de un campo borrado con esa clave todavía se están borrando. Espere unos minutos, o elija otra clave."
        ),
        "bad_key": _("Use minúsculas sin tilde, números y guion bajo; empiece con una letra; 40 como máximo."),
    }
    return words[problem.code]


@blueprint.route("/<int:field_id>/edit", methods=["GET", "POST"])
@requires(Role.EDITOR)
def edit(field_id: int) -> str | Response:
    field = get_or_404(CustomField, field_id)
    form = RenameForm(obj=field)
    if form.validate_on_submit():
        try:
            flow.rename(db.session, field, form.label.data.strip())
        except flow.FieldProblem as problem:
            _show_problem(form, problem)
        else:
            flash(_("Los cambios están guardados."), "success")
            return redirect(url_for("custom_fields.index"))
    return render_template("custom_fields/form.html", form=form, field=field)


@blueprint.post("/<int:field_id>/<any(up, down):direction>")
@requires(Role.EDITOR)
def move(field_id: int, direction: str) -> Response:
    flow.move(db.session, get_or_404(CustomField, field_id), up=direction == "up")
    return redirect(url_for("custom_fields.index"))


@blueprint.route("/<int:field_id>/delete", methods=["GET", "POST"])
@requires(Role.MANAGER)
def delete(field_id: int) -> str | Response:
    """Says first what goes with the field; or who still needs it."""
    field = get_or_404(CustomField, field_id)
    form, label = FlaskForm(), field.label
    if form.validate_on_submit():
        try:
            is_empty = flow.remove(db.session, field)
        except flow.FieldProblem:
            return redirect(url_for("custom_fields.delete", field_id=field_id))
        flash(_removed(label, is_empty=is_empty), "success")
        return redirect(url_for("custom_fields.index"))
    return render_template("custom_fields/delete.html", field=field, usage=flow.usage(db.session, field))


def _removed(label: str, *, is_empty: bool) -> str:
    if is_empty:
        return str(_("El campo «%(label)s» está borrado.", label=label))
    return str(
        _("El campo «%(label)s» está borrado. Sus valores terminan de borrarse en los próximos minutos.", label=label)
    )
