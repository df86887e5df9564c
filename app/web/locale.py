"""Language and time zone of a page: the person's, else the one chosen on the log-in page, else the browser's, else the
installation's."""

from babel import Locale
from flask import current_app, g, has_request_context, request, session
from flask_babel import get_locale
from flask_login import current_user

LOCALES = ("es", "en")


REGIONS = {"es": "PE"}
"""Whose numbers a language is read with: in Peru 1,470,000.5, where Spain writes 1.470.000,5."""


def number_locale() -> Locale:
    language = get_locale().language
    return Locale(language, REGIONS.get(language))


def language_tag() -> str:
    """Of the page (RFC 5646), so that scripts and screen readers read numbers the same way."""
    return str(number_locale()).replace("_", "-")


def select_locale() -> str:
    if not has_request_context():
        return str(current_app.config["BABEL_DEFAULT_LOCALE"])
    if current_user and current_user.is_authenticated:
        return str(current_user.locale)
    if session.get("locale") in LOCALES:
        return str(session["locale"])
    return request.accept_languages.best_match(LOCALES) or str(current_app.config["BABEL_DEFAULT_LOCALE"])


def select_timezone() -> str:
    panel = g.get("panel" if has_request_context() else "panel_of_command")
    return panel.timezone if panel else str(current_app.config["BABEL_DEFAULT_TIMEZONE"])
