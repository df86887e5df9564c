"""Users of the installation and their roles in the panels, for administrators."""

from flask import Blueprint, abort, flash, redirect, render_template, url_for
from flask_babel import gettext as _
from sqlalchemy import func
from werkzeug.wrappers import Response

from app.extensions import db
from app.flow import accounts
from app.models import User
from app.web.accounts.sentences import account_sentence, no_access_sentence
from app.web.paging import page_by_key
from app.web.scope import administrators_only
from app.web.users.forms import NewUserForm, UserForm, chosen_roles, role_fields

blueprint = Blueprint("users", __name__, url_prefix="/users")

Answer = str | Response | tuple[str, int]


@blueprint.get("")
@administrators_only
def index() -> str:
    page = page_by_key(
        accounts.users(),
        sorts={
            "name": User.name,
            "email": User.email,
            "last_login": func.coalesce(User.last_login_at, User.created_at),
        },
        key=User.id,
        default="name",
    )
    return render_template("users/index.html", page=page)


@blueprint.get("/new")
@administrators_only
def new() -> str:
    return edit_page(None, NewUserForm())


@blueprint.post("/new")
@administrators_only
def create() -> Answer:
    form = NewUserForm()
    if not form.validate_on_submit():
        return edit_page(None, form), 400
    try:
        made = accounts.create_user(
            db.session,
            email=form.email.data or "",
            name=form.name.data or "",
            locale=form.locale.data,
            is_administrator=form.is_administrator.data,
            roles=chosen_roles(accounts.all_panels(db.session)),
        )
    except accounts.AccountProblem as problem:
        form.email.errors = [*form.email.errors, account_sentence(problem.code)]
        return edit_page(None, form), 400
    return password_page(made)


@blueprint.get("/<int:user_id>")
@administrators_only
def edit(user_id: int) -> str:
    user = found(user_id)
    return edit_page(user, UserForm(obj=user))


@blueprint.post("/<int:user_id>")
@administrators_only
def update(user_id: int) -> Answer:
    user = found(user_id)
    form = UserForm()
    if not form.validate_on_submit():
        return edit_page(user, form), 400
    try:
        accounts.update_user(
            db.session,
            user,
            name=form.name.data or "",
            locale=form.locale.data,
            is_administrator=form.is_administrator.data,
            roles=chosen_roles(accounts.all_panels(db.session)),
        )
    except accounts.AccountProblem as problem:
        form.is_administrator.errors = [*form.is_administrator.errors, account_sentence(problem.code)]
        return edit_page(found(user_id), form), 409
    flash(_("Se guardó la cuenta de %(name)s.", name=user.name), "success")
    if accounts.may_enter_nothing(user):
        return redirect(url_for("users.edit", user_id=user.id))  # where the warning stands
    return redirect(url_for("users.index"))


@blueprint.post("/<int:user_id>/activate")
@administrators_only
def activate(user_id: int) -> Answer:
    user = found(user_id)
    accounts.set_active(db.session, user, active=True)
    flash(_("La cuenta de %(name)s está activa otra vez.", name=user.name), "success")
    return redirect(url_for("users.edit", user_id=user_id))


@blueprint.post("/<int:user_id>/deactivate")
@administrators_only
def deactivate(user_id: int) -> Answer:
    user = found(user_id)
    try:
        accounts.set_active(db.session, user, active=False)
    except accounts.AccountProblem as problem:
        flash(account_sentence(problem.code), "danger")
    else:
        flash(_("Se desactivó la cuenta de %(name)s y se cerraron sus sesiones.", name=user.name), "success")
    return redirect(url_for("users.edit", user_id=user_id))


@blueprint.post("/<int:user_id>/password")
@administrators_only
def reset_password(user_id: int) -> Answer:
    return password_page(accounts.reset_password(db.session, found(user_id)))


def found(user_id: int) -> User:
    return db.session.get(User, user_id) or abort(404)


def edit_page(user: User | None, form: UserForm) -> str:
    panels = accounts.all_panels(db.session)
    lacks_access = user is not None and accounts.may_enter_nothing(user)
    return render_template(
        "users/edit.html",
        user=user,
        form=form,
        roles=role_fields(panels, user),
        no_access=no_access_sentence() if lacks_access else "",
    )


def password_page(made: accounts.NewPassword) -> str:
    """Shown once; no redirect, since the password must stand nowhere else."""
    no_access = no_access_sentence() if accounts.may_enter_nothing(made.user) else ""
    return render_template("users/password.html", user=made.user, password=made.password, no_access=no_access)
