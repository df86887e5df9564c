"""The settings of the running application, and whose request it answers."""

from flask import current_app, request

from app.client_address import client_address
from app.config import Settings


def current_settings() -> Settings:
    settings: Settings = current_app.extensions["settings"]
    return settings


def current_address() -> str:
    """The client's address, behind the proxies that the settings trust."""
    return client_address(request.environ, current_settings().trusted_proxies)
