"""Accounts: logging in, the person's own profile, and what administrators do with users and their roles.

Whoever is the last active administrator can neither be deactivated nor demoted, also not by two requests at once: every
change that could do it locks the administrators' rows first.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Select, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import selectinload

from app.flow import passwords
from app.flow.problem import Problem
from app.flow.sessions import AnySession
from app.mail.addresses import Address, parse_address
from app.models import Membership, Panel, Role, User

LOCALES = ("es", "en")


class AccountProblem(Problem):
    """``code``: ``wrong_password``, ``last_administrator``, ``email_taken``, ``email_invalid``, ``locale_unknown``, or one of
    :class:`app.flow.passwords.PasswordRefused`."""


@dataclass(frozen=True, kw_only=True)
class NewPassword:
    """An account with a password that is shown once and stored nowhere."""

    user: User
    password: str


def normalise_email(email: str) -> str:
    """As it is stored: lower case, domain as A-labels. Raises :class:`AccountProblem`."""
    address = parse_address(email.strip())
    if not isinstance(address, Address):
        raise AccountProblem("email_invalid")
    return address.address


def load_session_user(session: AnySession, session_id: str) -> User | None:
    """The person of a session (``<id>.<epoch>``); none where the account was deactivated or its sessions were ended."""
    user_id, _, epoch = session_id.partition(".")
    if not (session_id.isascii() and user_id.isdecimal() and epoch.isdecimal() and len(user_id) < 10):
        return None
    user = session.get(User, int(user_id))
    return user if user is not None and user.is_active and user.session_epoch == int(epoch) else None


def authenticate(session: AnySession, email: str, password: str) -> User | None:
    """The active user with this address and password. Unknown and deactivated accounts cost the same work as known ones."""
    user = find_user(session, email)
    password = password[: passwords.MAXIMUM_LENGTH + 1]
    right = passwords.verify(user.password_hash if user else passwords.nobodys_hash(), password)
    if user is None or not right or not user.is_active:
        return None
    if passwords.needs_rehash(user.password_hash):
        user.password_hash = passwords.hash_password(password)
    user.last_login_at = datetime.now(UTC)
    session.commit()
    return user


def update_profile(session: AnySession, user: User, *, name: str, locale: str) -> None:
    user.name, user.locale = name.strip(), checked_locale(locale)
    session.commit()


def set_locale(session: AnySession, user: User, locale: str) -> None:
    user.locale = checked_locale(locale)
    session.commit()


def checked_locale(locale: str) -> str:
    if locale not in LOCALES:
        raise AccountProblem("locale_unknown")
    return locale


def change_password(session: AnySession, user: User, *, current: str, wanted: str) -> None:
    """Sets an own password and ends every session of the person. Raises :class:`AccountProblem`."""
    if not passwords.verify(user.password_hash, current):
        raise AccountProblem("wrong_password")
    set_password(session, user, wanted)


def set_password(session: AnySession, user: User, wanted: str) -> None:
    """As :func:`change_password`, without asking for the present one (command line)."""
    try:
        passwords.check(wanted, about=(user.name, user.email.partition("@")[0]))
    except passwords.PasswordRefused as refusal:
        raise AccountProblem(refusal.code) from refusal
    _store_password(user, wanted, generated=False)
    session.commit()


def reset_password(session: AnySession, user: User) -> NewPassword:
    """A generated password; every session of the person ends."""
    password = passwords.generate()
    _store_password(user, password, generated=True)
    session.commit()
    return NewPassword(user=user, password=password)


def _store_password(user: User, password: str, *, generated: bool) -> None:
    user.password_hash = passwords.hash_password(password)
    user.password_is_generated = generated
    user.session_epoch += 1


def end_sessions(session: AnySession, user: User) -> None:
    """Log out everywhere."""
    user.session_epoch += 1
    session.commit()


def create_user(
    session: AnySession,
    *,
    email: str,
    name: str,
    locale: str = "es",
    is_administrator: bool = False,
    roles: Mapping[int, Role] | None = None,
) -> NewPassword:
    """A new account with a generated password. ``roles``: role by panel id. Raises :class:`AccountProblem`."""
    made = new_user(email=email, name=name, locale=locale, is_administrator=is_administrator, roles=roles or {})
    session.add(made.user)
    try:
        session.commit()
    except IntegrityError as error:
        session.rollback()
        raise AccountProblem("email_taken") from error
    return made


def new_user(
    *, email: str, name: str, locale: str = "es", is_administrator: bool = False, roles: Mapping[int, Role]
) -> NewPassword:
    """As :func:`create_user`, in no session yet."""
    password = passwords.generate()
    user = User(email=normalise_email(email), name=name.strip(), locale=checked_locale(locale))
    user.is_administrator = is_administrator
    user.password_hash, user.password_is_generated = passwords.hash_password(password), True
    user.memberships = [Membership(panel_id=panel_id, role=role) for panel_id, role in roles.items()]
    return NewPassword(user=user, password=password)


def update_user(
    session: AnySession, user: User, *, name: str, locale: str, is_administrator: bool, roles: Mapping[int, Role]
) -> None:
    """What administrators change of a person; ``roles`` replaces all memberships. Raises :class:`AccountProblem`."""
    if not is_administrator:
        refuse_for_last_administrator(session, user)
    user.name, user.locale, user.is_administrator = name.strip(), checked_locale(locale), is_administrator
    present = {membership.panel_id: membership for membership in user.memberships}
    user.memberships = [_with_role(present.get(panel_id), panel_id, role) for panel_id, role in roles.items()]
    session.commit()


def _with_role(membership: Membership | None, panel_id: int, role: Role) -> Membership:
    membership = membership or Membership(panel_id=panel_id)
    membership.role = role
    return membership


def set_active(session: AnySession, user: User, *, active: bool) -> None:
    """Deactivating ends the person's sessions at once. Raises :class:`AccountProblem`."""
    if not active:
        refuse_for_last_administrator(session, user)
        user.session_epoch += 1
    user.is_active = active
    session.commit()


def refuse_for_last_administrator(session: AnySession, user: User) -> None:
    """Locks the active administrators and refuses where ``user`` is the only one."""
    active = set(
        session.scalars(
            select(User.id).where(User.is_administrator, User.is_active).order_by(User.id).with_for_update()
        )
    )
    if active == {user.id}:
        session.rollback()
        raise AccountProblem("last_administrator")


def may_enter_nothing(user: User) -> bool:
    """Logs in and finds no panel."""
    return not user.is_administrator and not user.memberships


def users() -> Select[User]:
    """Everybody, with roles, for a paged list."""
    return select(User).options(selectinload(User.memberships).joinedload(Membership.panel))


def all_panels(session: AnySession) -> list[Panel]:
    return list(session.scalars(select(Panel).order_by(Panel.id)))


def first_administrator(session: AnySession) -> User | None:
    """Of those who may log in, the one with the oldest account."""
    return session.scalar(select(User).where(User.is_administrator, User.is_active).order_by(User.id).limit(1))


def find_user(session: AnySession, email: str) -> User | None:
    """By address, in whichever spelling; none for what is no address."""
    try:
        return session.scalar(select(User).where(User.email == normalise_email(email)))
    except AccountProblem:
        return None
