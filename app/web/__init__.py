"""Pages: one package per area, each with ``blueprint``. Routes parse, make one call into ``app.flow``, answer.

scope       who may see which panel: every panel blueprint is made there
paging      every list is paged by key, sorted and filtered the same way
security    response headers (CSP and company)
errors      what a person sees when something is wrong
formats     numbers, times and sizes as people read them;  share_field: a share that people write
relay_api   what the log follower and the queue agent on a relay's own host report: JSON, a key instead of a person
public      what recipients reach: open, click, unsubscribe; served by an application of its own (``app.wsgi``)
"""

from flask import Flask

from app.web import (
    accounts,
    campaigns,
    contacts,
    domains,
    egress,
    errors,
    formats,
    health,
    holds,
    locale,
    panels,
    practice,
    providers,
    relay_api,
    relay_queue,
    relay_reports,
    relays,
    security,
    settings,
    users,
    words,
)


def register(app: Flask) -> None:
    """Bind every area to the application."""
    security.register(app)
    errors.register(app)
    formats.register(app)
    words.register(app)
    for blueprint in (
        health.blueprint,
        accounts.blueprint,
        panels.blueprint,
        practice.blueprint,
        campaigns.blueprint,
        settings.blueprint,
        domains.blueprint,
        domains.public_keys,
        relays.blueprint,
        relay_api.blueprint,
        egress.blueprint,
        holds.blueprint,
        relay_queue.blueprint,
        relay_reports.blueprint,
        providers.blueprint,
        users.blueprint,
        *contacts.BLUEPRINTS,
    ):
        app.register_blueprint(blueprint)


__all__ = ["locale", "register"]
