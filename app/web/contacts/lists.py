"""Mailing lists: ``/p/<panel>/lists``."""

from collections.abc import Iterator
from typing import Any

from flask import Response, flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_login import current_user
from sqlalchemy import func
from werkzeug.wrappers import Response as AnyResponse

from app.extensions import db
from app.flow import contacts as contact_flow
from app.flow import custom_fields, search
from app.flow import lists as flow
from app.flow.field_values import as_text
from app.models import Contact, MailingList, Role, SubscriptionStatus
from app.web.contacts.csv_answer import csv_answer
from app.web.contacts.forms import ListForm, PersonForm
from app.web.contacts.wording import (
    TEMPLATE_WORDS,
    address_problem,
    list_problem,
    source_name,
    subscription_status_name,
)
from app.web.formats import number, when
from app.web.paging import page_by_key
from app.web.scope import current_panel, get_or_404, panel_blueprint, requires

blueprint = panel_blueprint("lists", __name__, prefix="/lists")
blueprint.context_processor(lambda: TEMPLATE_WORDS)
blueprint.context_processor(lambda: {"MANY": flow.MANY})


@blueprint.get("")
def index() -> str:
    archived = request.args.get("archived") == "1"
    statement = flow.of_panel(current_panel.id, archived=archived)
    wanted = request.args.get("q", "").strip().lower()
    if wanted:
        statement = statement.where(search.starts_with(func.lower(MailingList.name), wanted))
    page = page_by_key(
        statement,
        sorts={"name": func.lower(MailingList.name), "created": MailingList.created_at},
        key=MailingList.id,
        default="name",
    )
    counts = flow.quick_counts(db.session, [row.id for row in page.rows])
    return render_template("lists/index.html", page=page, counts=counts, archived=archived)


@blueprint.route("/new", methods=["GET", "POST"])
@requires(Role.EDITOR)
def new() -> str | AnyResponse:
    form = ListForm()
    if form.validate_on_submit():
        try:
            row = flow.create(
                db.session, current_panel.id, name=form.name.data, description=form.description.data or ""
            )
        except flow.ListProblem as problem:
            form.name.errors = [list_problem(problem.code)]
        else:
            flash(_("La lista «%(name)s» está creada. Ahora agregue personas.", name=row.name), "success")
            return redirect(url_for("lists.show", list_id=row.id))
    return render_template("lists/form.html", form=form, row=None)


@blueprint.route("/<int:list_id>/edit", methods=["GET", "POST"])
@requires(Role.EDITOR)
def edit(list_id: int) -> str | AnyResponse:
    row = get_or_404(MailingList, list_id)
    form = ListForm(obj=row)
    if form.validate_on_submit():
        try:
            flow.edit(db.session, row, name=form.name.data, description=form.description.data or "")
        except flow.ListProblem as problem:
            form.name.errors = [list_problem(problem.code)]
        else:
            flash(_("Los cambios están guardados."), "success")
            return redirect(url_for("lists.show", list_id=list_id))
    return render_template("lists/form.html", form=form, row=get_or_404(MailingList, list_id))


@blueprint.get("/<int:list_id>")
def show(list_id: int) -> str:
    return _list_page(get_or_404(MailingList, list_id), PersonForm())


def _list_page(row: MailingList, form: PersonForm) -> str:
    status = _status_filter()
    statement = flow.people_on(row, status)
    wanted = request.args.get("q", "").strip()
    are_many = False
    if wanted:
        statement, are_many = search.matching(db.session, statement, wanted)
    page = page_by_key(
        statement,
        sorts={"email": Contact.email, "name": search.CONTACT_NAME, "created": Contact.id},
        key=Contact.id,
        default="email",
        scalars=False,
    )
    counts = flow.quick_counts(db.session, [row.id])
    return render_template(
        "lists/show.html",
        row=row,
        page=page,
        are_many=are_many,
        counts=counts,
        status=status,
        form=form,
        statuses=SubscriptionStatus,
    )


@blueprint.get("/<int:list_id>/count")
def count(list_id: int) -> str:
    """How many people of a large list: fetched by the pages that show it, which need not wait for it."""
    row = get_or_404(MailingList, list_id)
    return number(flow.counts(db.session, [row.id])[row.id][_status_filter() or SubscriptionStatus.SUBSCRIBED])


def _status_filter() -> SubscriptionStatus | None:
    status = request.args.get("status")
    return SubscriptionStatus(status) if status in list(SubscriptionStatus) else None


@blueprint.post("/<int:list_id>")
@requires(Role.EDITOR)
def add_person(list_id: int) -> AnyResponse | tuple[str, int]:
    """At the list's own address, so that a refused form is shown there again as it was filled in."""
    row = get_or_404(MailingList, list_id)
    form = PersonForm()
    if not form.validate():
        return _list_page(row, form), 422
    try:
        contact, happened = flow.add_person(
            db.session, row, email=form.email.data, name=form.name.data or "", user_id=current_user.id
        )
    except contact_flow.ContactProblem as problem:
        form.email.errors = [address_problem(problem.code)]
        return _list_page(row, form), 422
    _tell(contact, happened)
    return redirect(url_for("lists.show", list_id=list_id))


def _tell(contact: Contact, happened: str) -> None:
    if happened == "added":
        flash(_("%(email)s está en la lista.", email=contact.email), "success")
    elif happened == "already":
        flash(_("%(email)s ya estaba en la lista.", email=contact.email), "info")
    else:
        flash(
            _(
                "%(email)s se dio de baja de esta lista. Solo un nuevo consentimiento suyo permite suscribirla otra vez; "
                "regístrelo en la página del contacto.",
                email=contact.email,
            ),
            "warning",
        )


@blueprint.post("/<int:list_id>/people/<int:contact_id>/unsubscribe")
@requires(Role.EDITOR)
def unsubscribe_person(list_id: int, contact_id: int) -> AnyResponse:
    row, contact = get_or_404(MailingList, list_id), get_or_404(Contact, contact_id)
    flow.unsubscribe_person(db.session, row, contact, user_id=current_user.id)
    flash(_("%(email)s está de baja de «%(name)s».", email=contact.email, name=row.name), "success")
    if request.form.get("back") == "contact":
        return redirect(url_for("contacts.show", contact_id=contact_id))
    return redirect(url_for("lists.show", list_id=list_id))


@blueprint.post("/<int:list_id>/people/<int:contact_id>/subscribe")
@requires(Role.MANAGER)
def subscribe_again(list_id: int, contact_id: int) -> AnyResponse:
    row, contact = get_or_404(MailingList, list_id), get_or_404(Contact, contact_id)
    flow.subscribe_again(db.session, row, contact, source=f"consent:{current_user.id}")
    flash(_("%(email)s está suscrita otra vez a «%(name)s».", email=contact.email, name=row.name), "success")
    return redirect(url_for("contacts.show", contact_id=contact_id))


@blueprint.post("/<int:list_id>/archive")
@requires(Role.MANAGER)
def archive(list_id: int) -> AnyResponse:
    row = get_or_404(MailingList, list_id)
    flow.archive(db.session, row)
    flash(_("La lista «%(name)s» está archivada. Puede restaurarla cuando quiera.", name=row.name), "success")
    return redirect(url_for("lists.show", list_id=list_id))


@blueprint.post("/<int:list_id>/restore")
@requires(Role.MANAGER)
def restore(list_id: int) -> AnyResponse:
    row = get_or_404(MailingList, list_id)
    flow.restore(db.session, row)
    flash(_("La lista «%(name)s» está de nuevo en uso.", name=row.name), "success")
    return redirect(url_for("lists.show", list_id=list_id))


@blueprint.get("/<int:list_id>/people.csv")
def export(list_id: int) -> Response:
    """Its first columns carry the headers that an import recognises, so that the file can be imported elsewhere."""
    row = get_or_404(MailingList, list_id)
    fields = custom_fields.of_panel(db.session, current_panel.id)
    header = [_("Correo"), _("Nombre"), *(field.label for field in fields)]
    header += [_("Estado"), _("Origen del consentimiento"), _("Suscrito el"), _("De baja el")]
    people = flow.export_people(db.session, row, _status_filter())
    return csv_answer(f"{row.name}.csv", header, _exported(people, [field.key for field in fields]))


def _exported(people: Iterator[Any], keys: list[str]) -> Iterator[list[str]]:
    for person in people:
        ended = when(person.unsubscribed_at) if person.unsubscribed_at else ""
        status, source = subscription_status_name(person.status), source_name(person.source)
        fields = [as_text(person.fields.get(key)) for key in keys]
        yield [person.email, person.name, *fields, status, source, when(person.subscribed_at), ended]
