"""The settings of the running application."""

from flask import current_app

from app.config import Settings


def current_settings() -> Settings:
    settings: Settings = current_app.extensions["settings"]
    return settings
