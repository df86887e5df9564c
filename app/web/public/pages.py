"""The Flask application behind ``/u/``: no session, no cookie, no log-in. Also the two pages that are always the same,
"not found" and "try again", which the tracking endpoint gives, too.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Flask, Response, current_app, render_template, request
from flask_babel import Babel, get_locale
from flask_babel import gettext as _
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

from app import flask_configuration, logs
from app.config import Settings
from app.connections import DATABASE_CONNECTION
from app.current import current_settings
from app.extensions import db
from app.logs import get_logger
from app.web.locale import LOCALES
from app.web.public import unsubscribe
from app.web.public.endpoint import COMMON, ConstantPage

log = get_logger(__name__)

MAX_BODY_BYTES = 32 * 1024
POLICY = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"


def create_pages(settings: Settings) -> Flask:
    logs.configure(settings.log_format)
    app = Flask("app", static_folder=None)
    app.config.from_mapping(flask_configuration(settings))
    app.config.update(
        SECRET_KEY=None,
        MAX_CONTENT_LENGTH=MAX_BODY_BYTES,
        MAX_FORM_MEMORY_SIZE=MAX_BODY_BYTES,
        SQLALCHEMY_ENGINE_OPTIONS=engine_options(),
    )
    app.extensions["settings"] = settings
    db.init_app(app)
    Babel(app, locale_selector=select_locale)
    app.context_processor(_template_globals)
    app.register_blueprint(unsubscribe.blueprint)
    app.add_url_rule("/u/page.css", view_func=style_sheet)
    app.after_request(_add_headers)
    _register_errors(app)
    app.extensions["style_version"] = hashlib.sha256(style_sheet_path(app).read_bytes()).hexdigest()[:12]
    app.extensions["not_found"] = ConstantPage("404 Not Found", _in_each_language(app, _not_found))
    app.extensions["try_again"] = ConstantPage(
        "503 Service Unavailable", _in_each_language(app, _try_again), [("Retry-After", "30")]
    )
    return app


def engine_options() -> dict[str, Any]:
    """Few connections and short waits: recipients are answered, if only with "try again"."""
    return {
        "pool_pre_ping": True,
        "pool_size": 2,
        "max_overflow": 4,
        "pool_timeout": 5,
        "pool_recycle": 1800,
        "connect_args": {**DATABASE_CONNECTION, "connect_timeout": 3, "options": "-c statement_timeout=5000"},
    }


def select_locale() -> str:
    return request.accept_languages.best_match(LOCALES) or current_settings().locale


def style_sheet() -> Response:
    """Below ``/u/``, so that a tracking host serves it, too."""
    response = Response(style_sheet_path(current_app).read_bytes(), mimetype="text/css")
    response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    return response


def style_sheet_path(app: Flask) -> Path:
    return Path(app.root_path) / "static" / "css" / "public.css"


def _template_globals() -> dict[str, Any]:
    return {
        "get_locale": get_locale,
        "style_version": current_app.extensions["style_version"],
        "organisation": current_settings().organisation_name,
    }


def _add_headers(response: Response) -> Response:
    response.headers.setdefault("Content-Security-Policy", POLICY)
    for name, value in COMMON:
        response.headers.setdefault(name, value)
    if response.mimetype == "text/html":
        response.headers["Vary"] = "Accept-Language"
    return response


def _register_errors(app: Flask) -> None:
    @app.errorhandler(HTTPException)
    def refused(error: HTTPException) -> Any:
        """404 as everywhere; 405, 413 and the like in the framework's own few words."""
        return current_app.extensions["not_found"] if error.code == 404 else error

    @app.errorhandler(Exception)
    def failed(error: Exception) -> Any:
        """Whatever it was, mail services and people may try again."""
        away = isinstance(error, OperationalError | InterfaceError | PoolTimeout)
        log.error("public_page_failed", reason="database_away" if away else "unexpected", exc_info=error)
        db.session.rollback()
        return current_app.extensions["try_again"]


def _in_each_language(app: Flask, render: Callable[[], str]) -> dict[str, bytes]:
    """The installation's own language first. Each in a context of its own, which keeps its language."""
    default = app.extensions["settings"].locale
    bodies = {}
    for language in sorted({*LOCALES, default}, key=lambda one: (one != default, one)):
        with app.test_request_context(headers={"Accept-Language": language}):
            bodies[language] = render().encode()
    return bodies


def _not_found() -> str:
    return render_template(
        "public/message.html",
        heading=_("No encontramos esta página"),
        sentence=_("El enlace está incompleto o ya no es válido. Ábralo de nuevo desde el correo que recibió."),
    )


def _try_again() -> str:
    return render_template(
        "public/message.html",
        heading=_("En este momento no podemos atenderle"),
        sentence=_("Estamos trabajando en ello. Espere un minuto y vuelva a abrir el enlace."),
    )
