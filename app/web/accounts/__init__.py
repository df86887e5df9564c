"""Logging in and out, and the person's own profile.

A session is renewed at log-in (nothing that stood in it before survives), carries the account's epoch and ends with it.
Attempts are limited per address, failures per account; unknown accounts cost the same work as known ones.
"""

from urllib.parse import urlsplit

from flask import Blueprint, flash, redirect, render_template, request, session, url_for
from flask_babel import gettext as _
from flask_babel import lazy_gettext as _l
from flask_login import current_user, login_required, login_user, logout_user
from werkzeug.wrappers import Response

from app.current import current_address, current_settings
from app.extensions import db, limiter, login_manager
from app.flow import accounts
from app.logs import get_logger
from app.models import User
from app.web.accounts.forms import LogInForm, PasswordForm, ProfileForm
from app.web.accounts.sentences import account_sentence
from app.web.locale import LOCALES

blueprint = Blueprint("accounts", __name__)
log = get_logger(__name__)

login_manager.login_view = "accounts.login"
login_manager.login_message = _l("Entre con su cuenta para continuar.")
login_manager.login_message_category = "info"


@login_manager.user_loader  # type: ignore[untyped-decorator]  # Flask-Login has no types
def load_user(session_id: str) -> User | None:
    return accounts.load_session_user(db.session, session_id)


def attempts_per_address() -> str:
    return f"{current_settings().login_attempts_per_minute} per minute"


def attempts_per_account() -> str:
    """A second limit per hour: many addresses may try one account."""
    allowed = current_settings().login_attempts_per_minute
    return f"{allowed} per minute; {6 * allowed} per hour"


def account_in_question() -> str:
    return "account:" + request.form.get("email", "").strip().lower()[:254]


def failed(response: Response) -> bool:
    """Only these count against the account: whoever knows the password is not shut out by entering often."""
    return response.status_code == 401


@blueprint.get("/login")
def login() -> str | Response:
    if current_user.is_authenticated:
        return redirect(own_path(request.args.get("next")))
    return render_template("accounts/login.html", form=LogInForm())


@blueprint.post("/login")
@limiter.limit(attempts_per_address)
@limiter.limit(attempts_per_account, key_func=account_in_question, deduct_when=failed)
def check_login() -> str | Response | tuple[str, int]:
    form = LogInForm()
    if not form.validate_on_submit():
        return render_template("accounts/login.html", form=form), 400
    user = accounts.authenticate(db.session, form.email.data or "", form.password.data or "")
    if user is None:
        log.warning("login_refused", remote_address=current_address())
        flash(_("El correo o la contraseña no son correctos. Revise ambos e inténtelo de nuevo."), "danger")
        return render_template("accounts/login.html", form=form), 401
    start_session(user)
    return redirect(own_path(request.args.get("next")))


def start_session(user: User) -> None:
    """Nothing that stood in the session before survives (session fixation), the CSRF token included."""
    session.clear()
    session.permanent = True
    login_user(user)
    log.info("logged_in", user_id=user.id, remote_address=current_address())


def own_path(target: str | None) -> str:
    """``target`` where it is a path of ours, else the first page: a link never sends a person elsewhere. Browsers drop
    control characters and read a backslash as a slash, so neither is taken."""
    parts = urlsplit(target or "")
    ours = (
        target
        and target.startswith("/")
        and not target.startswith("//")
        and "\\" not in target
        and target.isprintable()
        and not (parts.scheme or parts.netloc)
    )
    return target if target and ours else url_for("panels.choose")


@blueprint.post("/logout")
def logout() -> Response:
    logout_user()
    session.clear()
    flash(_("Ha salido de Chaski."), "success")
    return redirect(url_for("accounts.login"))


@blueprint.post("/language")
def language() -> Response:
    """The language of the pages: kept with the account, or in the session before logging in."""
    chosen = request.form.get("locale", "")
    if chosen in LOCALES:
        session["locale"] = chosen
        if current_user.is_authenticated:
            accounts.set_locale(db.session, current_user, chosen)
    return redirect(own_path(request.form.get("next")))


@blueprint.get("/profile")
@login_required  # type: ignore[untyped-decorator]  # Flask-Login has no types
def profile() -> str:
    return profile_page()


@blueprint.post("/profile")
@login_required  # type: ignore[untyped-decorator]  # Flask-Login has no types
def save_profile() -> str | Response | tuple[str, int]:
    form = ProfileForm(prefix="profile")
    if not form.validate_on_submit():
        return profile_page(profile=form), 400
    accounts.update_profile(db.session, current_user, name=form.name.data or "", locale=form.locale.data)
    flash(_("Se guardó su perfil."), "success")
    return redirect(url_for("accounts.profile"))


@blueprint.post("/profile/password")
@limiter.limit(attempts_per_address)
@login_required  # type: ignore[untyped-decorator]  # Flask-Login has no types
def save_password() -> str | Response | tuple[str, int]:
    form = PasswordForm(prefix="password")
    if not form.validate_on_submit():
        return profile_page(password=form), 400
    try:
        accounts.change_password(
            db.session, current_user, current=form.current.data or "", wanted=form.wanted.data or ""
        )
    except accounts.AccountProblem as problem:
        field = form.current if problem.code == "wrong_password" else form.wanted
        field.errors = [*field.errors, account_sentence(problem.code)]
        return profile_page(password=form), 400
    start_session(current_user._get_current_object())
    flash(_("Se cambió la contraseña. Las demás sesiones de su cuenta se cerraron."), "success")
    return redirect(url_for("accounts.profile"))


@blueprint.post("/profile/end-sessions")
@login_required  # type: ignore[untyped-decorator]  # Flask-Login has no types
def end_sessions() -> Response:
    accounts.end_sessions(db.session, current_user)
    start_session(current_user._get_current_object())
    flash(_("Se cerraron todas las demás sesiones de su cuenta."), "success")
    return redirect(url_for("accounts.profile"))


def profile_page(profile: ProfileForm | None = None, password: PasswordForm | None = None) -> str:
    return render_template(
        "accounts/profile.html",
        profile=profile or ProfileForm(obj=current_user, prefix="profile"),
        password=password or PasswordForm(formdata=None, prefix="password"),
    )
