"""What a person sees when something is wrong: what happened and what to do, never a traceback."""

from flask import Flask, render_template, request
from flask_babel import gettext as _
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import DataError
from werkzeug.exceptions import HTTPException

from app.extensions import db
from app.logs import get_logger

log = get_logger(__name__)

LARGEST_INTEGER = 2**31 - 1
"""Of PostgreSQL's ``integer``, the type of most ids."""


def register(app: Flask) -> None:
    @app.errorhandler(CSRFError)
    def csrf_failed(error: CSRFError) -> tuple[str, int]:
        return _page(400, _("Su sesión cambió o caducó. Vuelva atrás, recargue la página e inténtelo de nuevo.")), 400

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> tuple[str, int]:
        code = error.code or 500
        return _page(code, _sentences().get(code, error.description or "")), code

    @app.errorhandler(DataError)
    def unstorable(error: DataError) -> tuple[str, int]:
        """Text with a NUL byte, a number beyond its column: nobody types those, so the sentence is general. An id beyond
        every column in the address is simply not found."""
        db.session.rollback()
        numbers = [value for value in (request.view_args or {}).values() if isinstance(value, int)]
        code = 404 if max(numbers, default=0) > LARGEST_INTEGER else 400
        return _page(code, _sentences()[code]), code

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> tuple[str, int]:
        log.error("request_failed", exc_info=error)
        return _page(500, _sentences()[500]), 500


def _sentences() -> dict[int, str]:
    return {
        400: _("La solicitud contiene un valor que no se puede guardar. Revise lo que escribió e inténtelo de nuevo."),
        403: _("Su rol en esta plataforma no permite esta acción. Pídala a una persona con rol de gestión."),
        404: _("No encontramos lo que busca. Puede que se haya borrado o que el enlace esté incompleto."),
        405: _("Esta dirección no se puede usar así. Vuelva a la página anterior."),
        413: _("El archivo es más grande de lo que esta instalación admite."),
        429: _("Demasiados intentos seguidos. Espere un minuto e inténtelo de nuevo."),
        500: _("Algo falló de nuestro lado. El error quedó registrado; inténtelo de nuevo en un momento."),
    }


def _page(code: int, sentence: str) -> str:
    return render_template("error.html", code=code, sentence=sentence)
