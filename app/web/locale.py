"""Language and time zone of a page: the person's, else the one chosen on the log-in page, else the browser's, else the
installation's."""

from flask import current_app, g, has_request_context, request, session
from flask_babel import get_locale
from flask_login import current_user

LOCALES = ("es", "en")


def select_locale() -> str:
    return in_country(select_language(), str(current_app.config["BABEL_DEFAULT_LOCALE"]))


def select_language() -> str:
    if not has_request_context():
        return str(current_app.config["BABEL_DEFAULT_LOCALE"])
    if current_user and current_user.is_authenticated:
        return str(current_user.locale)
    if session.get("locale") in LOCALES:
        return str(session["locale"])
    return request.accept_languages.best_match(LOCALES) or str(current_app.config["BABEL_DEFAULT_LOCALE"])


def in_country(language: str, locale: str) -> str:
    """``es`` as the installation's ``es_PE`` writes it: 4,805 and *set.*, where Spain has 4.805 and *sept.*"""
    return locale if locale.split("_")[0] == language else language


def language_tag() -> str:
    """For ``lang="…"`` (RFC 5646): ``es-PE``."""
    return str(get_locale()).replace("_", "-")


def select_timezone() -> str:
    panel = g.get("panel") if has_request_context() else None
    return panel.timezone if panel else str(current_app.config["BABEL_DEFAULT_TIMEZONE"])
