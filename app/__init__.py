"""Chaski: the product. ``create_app`` binds configuration, extensions, blueprints and commands; nothing else.

config      the only reader of the environment
connections connections that notice when the other side is gone
amqp        the same for RabbitMQ, and why it can't be worked with
models      the nouns
flow        the one-way street, one file per station
mail        pure: render, sign, headers, tokens, replies
web         pages; web.public is what recipients reach
commands    the same verbs for cron and scripts
"""

import click
from flask import Flask

from app import commands, logs, web
from app.config import ConfigurationError, Settings, load_settings
from app.connections import DATABASE_CONNECTION, watch_server_side
from app.extensions import babel, csrf, db, limiter, login_manager, migrate

MAX_BODY_BYTES = 10 * 1024 * 1024
"""The largest body of a request. Only the upload of an import takes more, from people who may import."""


def create_app(settings: Settings | None = None) -> Flask:
    """The application of one installation. ``settings`` are read from the environment where none are given."""
    settings = settings or settings_or_sentence()
    logs.configure(settings.log_format)
    app = Flask(__name__)
    app.config.from_mapping(flask_configuration(settings))
    app.extensions["settings"] = settings
    db.init_app(app)
    with app.app_context():
        watch_server_side(db.engine)
    migrate.init_app(app, db, directory="migrations")
    login_manager.init_app(app)
    csrf.init_app(app)
    limiter.init_app(app)
    babel.init_app(app, locale_selector=web.locale.select_locale, timezone_selector=web.locale.select_timezone)
    web.register(app)
    commands.register(app)
    return app


def settings_or_sentence() -> Settings:
    """The settings; where a person runs ``flask …`` and one is missing, a sentence instead of a traceback."""
    try:
        return load_settings()
    except ConfigurationError as error:
        if click.get_current_context(silent=True) is None:
            raise
        click.echo(f"Error: {error}", err=True)
        raise SystemExit(2) from error


def flask_configuration(settings: Settings) -> dict[str, object]:
    """What Flask and its extensions want to know, from our settings."""
    return {
        "SECRET_KEY": settings.derived_key("session").hex(),
        "SQLALCHEMY_DATABASE_URI": settings.database_url,
        "SQLALCHEMY_ENGINE_OPTIONS": {
            "pool_pre_ping": True,
            "pool_size": 10,
            "max_overflow": 10,
            "pool_recycle": 1800,
            "connect_args": DATABASE_CONNECTION,
        },
        "MAX_CONTENT_LENGTH": MAX_BODY_BYTES,
        "MAX_FORM_MEMORY_SIZE": 8 * 1024 * 1024,
        "SESSION_COOKIE_NAME": "chaski_session",
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "SESSION_COOKIE_SECURE": settings.secure_cookies,
        "PERMANENT_SESSION_LIFETIME": settings.session_hours * 3600,
        "WTF_CSRF_TIME_LIMIT": None,
        "RATELIMIT_STORAGE_URI": settings.redis_url,
        "RATELIMIT_KEY_PREFIX": "chaski",
        "RATELIMIT_SWALLOW_ERRORS": False,
        "RATELIMIT_IN_MEMORY_FALLBACK_ENABLED": True,
        "BABEL_DEFAULT_LOCALE": settings.locale,
        "BABEL_DEFAULT_TIMEZONE": settings.timezone,
    }
