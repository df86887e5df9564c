"""Who may see which panel. Every page of a panel lives under ``/p/<panel>/`` on a blueprint made by
``panel_blueprint``: before any route runs, the panel is loaded and the person's membership checked; whoever is no
member gets 404, so that nothing shows whether the panel exists. Routes load rows only through ``get_or_404``, which
scopes by panel (law 7).
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from flask import Blueprint, abort, g, request, url_for
from flask_login import current_user
from sqlalchemy import select
from werkzeug.local import LocalProxy

from app.extensions import db, login_manager
from app.models import ROLE_ORDER, Membership, Panel, Role

P = ParamSpec("P")
R = TypeVar("R")
M = TypeVar("M")

current_panel = cast(Panel, LocalProxy(lambda: g.panel))


def panel_blueprint(name: str, import_name: str, *, prefix: str = "") -> Blueprint:
    """A blueprint whose routes all belong to one panel; ``url_for`` fills the panel in by itself."""
    blueprint = Blueprint(name, import_name, url_prefix=f"/p/<panel>{prefix}")
    blueprint.url_value_preprocessor(take_panel_slug)
    blueprint.url_defaults(fill_in_panel_slug)
    blueprint.before_request(enter_panel)
    return blueprint


def take_panel_slug(_endpoint: str | None, values: dict[str, Any] | None) -> None:
    g.panel_slug = (values or {}).pop("panel", None)


def fill_in_panel_slug(_endpoint: str, values: dict[str, Any]) -> None:
    if "panel" not in values and g.get("panel"):
        values["panel"] = g.panel.slug


def enter_panel() -> Any:
    if not current_user.is_authenticated:
        return login_manager.unauthorized()
    panel = db.session.scalar(select(Panel).where(Panel.slug == g.panel_slug))
    role = role_in(panel) if panel else None
    if panel is None or role is None:
        abort(404)
    g.panel, g.role = panel, role
    return None


def role_in(panel: Panel) -> Role | None:
    """The current user's role in ``panel``; administrators manage every panel; none: not a member."""
    if current_user.is_administrator:
        return Role.MANAGER
    return db.session.scalar(
        select(Membership.role).where(Membership.user_id == current_user.id, Membership.panel_id == panel.id)
    )


def may(role: Role) -> bool:
    """Whether the current user has at least ``role`` in the current panel."""
    return "role" in g and ROLE_ORDER.index(g.role) >= ROLE_ORDER.index(role)


def requires(role: Role) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Refuse (403) members below ``role``."""

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @wraps(view)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            if not may(role):
                abort(403)
            return view(*args, **kwargs)

        return checked

    return decorate


def administrators_only(view: Callable[P, R]) -> Callable[P, R]:
    """For pages of the whole installation: 404 to everybody else."""

    @wraps(view)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        if not current_user.is_authenticated:
            return cast(R, login_manager.unauthorized())
        if not current_user.is_administrator:
            abort(404)
        return view(*args, **kwargs)

    return checked


def get_or_404(model: type[M], row_id: int) -> M:
    """The row with this id in the current panel; 404 for another panel's, exactly as for one that never was."""
    columns = cast(Any, model)
    row: M | None = db.session.scalar(select(columns).where(columns.id == row_id, columns.panel_id == g.panel.id))
    return row if row is not None else abort(404)


def is_htmx() -> bool:
    return request.headers.get("HX-Request") == "true"


def here(**changes: Any) -> str:
    """URL of this page with some query arguments changed (``None`` removes one)."""
    query = {**request.args.to_dict(flat=True), **changes}
    values = {**(request.view_args or {}), **{k: v for k, v in query.items() if v is not None}}
    return url_for(str(request.endpoint), **values)
