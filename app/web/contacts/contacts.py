"""Contacts: ``/p/<panel>/contacts``."""

from flask import flash, redirect, render_template, request, url_for
from flask_babel import gettext as _
from flask_login import current_user
from werkzeug.wrappers import Response

from app.current import current_settings
from app.extensions import db
from app.flow import contacts as flow
from app.flow import custom_fields, practice, search, suppressions
from app.models import Contact, Delivery, Role
from app.web.campaigns import causes, statuses
from app.web.contacts.forms import ContactForm, EraseForm, contact_form
from app.web.contacts.wording import TEMPLATE_WORDS, address_problem
from app.web.paging import page_by_key
from app.web.scope import current_panel, get_or_404, panel_blueprint, requires

blueprint = panel_blueprint("contacts", __name__, prefix="/contacts")
blueprint.context_processor(lambda: TEMPLATE_WORDS)


@blueprint.get("")
def index() -> str:
    statement = flow.of_panel(current_panel.id)
    wanted = request.args.get("q", "").strip()
    are_many = False
    if wanted:
        statement, are_many = search.matching(db.session, statement, wanted)
    page = page_by_key(
        statement,
        sorts={"email": Contact.email, "name": search.CONTACT_NAME, "created": Contact.id},
        key=Contact.id,
        default="-created",
    )
    return render_template("contacts/index.html", page=page, are_many=are_many)


@blueprint.route("/new", methods=["GET", "POST"])
@requires(Role.EDITOR)
def new() -> str | Response:
    fields = custom_fields.of_panel(db.session, current_panel.id)
    form = contact_form(fields)
    if form.validate_on_submit():
        try:
            contact = flow.create(
                db.session,
                current_panel.id,
                email=form.email.data,
                name=(form.name.data or "").strip(),
                fields={key: value for key, value in form.values(fields).items() if value is not None},
            )
        except flow.ContactProblem as problem:
            _show_problem(form, problem)
        else:
            flash(_("El contacto está creado. Para escribirle, agréguelo a una lista."), "success")
            return redirect(url_for("contacts.show", contact_id=contact.id))
    return render_template("contacts/form.html", form=form, contact=None)


@blueprint.route("/<int:contact_id>/edit", methods=["GET", "POST"])
@requires(Role.EDITOR)
def edit(contact_id: int) -> str | Response:
    contact = get_or_404(Contact, contact_id)
    fields = custom_fields.of_panel(db.session, current_panel.id)
    form = contact_form(fields, contact)
    if form.validate_on_submit():
        name = (form.name.data or "").strip()
        try:
            flow.edit(db.session, contact, email=form.email.data, name=name, fields=form.values(fields))
        except flow.ContactProblem as problem:
            _show_problem(form, problem)
        else:
            flash(_("Los cambios están guardados."), "success")
            return redirect(url_for("contacts.show", contact_id=contact_id))
    return render_template("contacts/form.html", form=form, contact=get_or_404(Contact, contact_id))


def _show_problem(form: ContactForm, problem: flow.ContactProblem) -> None:
    taken = _("Otro contacto de esta plataforma ya tiene esa dirección.")
    form.email.errors = [taken if problem.code == "taken" else address_problem(problem.code)]


@blueprint.get("/<int:contact_id>")
def show(contact_id: int) -> str:
    contact = get_or_404(Contact, contact_id)
    page = page_by_key(
        flow.deliveries_of(contact),
        sorts={"sent": Delivery.campaign_id},
        key=Delivery.seq,
        default="-sent",
        scalars=False,
    )
    return render_template(
        "contacts/show.html",
        contact=contact,
        fields=custom_fields.of_panel(db.session, current_panel.id),
        subscriptions=flow.subscriptions_of(db.session, contact),
        suppressions=suppressions.of_address(db.session, current_panel.id, contact.email),
        events=flow.events_of(db.session, contact),
        page=page,
        statuses=statuses,
        causes=causes,
    )


@blueprint.route("/<int:contact_id>/erase", methods=["GET", "POST"])
@requires(Role.MANAGER)
def erase(contact_id: int) -> str | Response:
    contact = get_or_404(Contact, contact_id)
    form = EraseForm()
    if form.validate_on_submit():
        email = contact.email
        try:
            flow.erase(db.session, contact, user_id=current_user.id, keep_suppressed=form.keep_suppressed.data)
        except practice.MailboxInUse as problem:
            flash(_mailbox_in_use(problem), "warning")
            return redirect(url_for("contacts.erase", contact_id=contact_id))
        flash(_("Los datos de %(email)s están borrados.", email=email), "success")
        return redirect(url_for("contacts.index"))
    return render_template(
        "contacts/erase.html",
        contact=contact,
        form=form,
        erasing=flow.what_erasing_does(db.session, contact),
        keep_days=current_settings().keep_import_days,
    )


def _mailbox_in_use(problem: practice.MailboxInUse) -> str:
    return str(
        _(
            "No se borró nada: la campaña «%(name)s» está enviando ahora mismo a esta persona. Espere unos minutos e "
            "inténtelo de nuevo.",
            name=problem.campaign_name,
        )
    )
