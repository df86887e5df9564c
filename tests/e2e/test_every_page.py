"""Every page of the application, found in its map of addresses, with something of everything and with nothing at all, on a
desk's screen and on a phone: each is what tests/e2e/watch.py demands."""

import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.config import Settings
from app.flow.sessions import AnySession
from app.models import Panel, User
from tests.e2e.everything import Ids, everything
from tests.e2e.watch import Watch, problems_of
from tests.fixtures.app import log_in

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page
    from werkzeug.routing import Rule

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

WIDTHS = (1280, 360)
NO_PAGES = {
    # Files.
    "static", "health.healthz", "public_keys.public_key", "campaigns.download", "egress.export", "imports.rejects",
    "lists.export", "practice.download", "campaigns.download_certificate",
    # Parts that a page fetches again and again, or shows in a frame of its own.
    "campaigns.forecast", "campaigns.live", "campaigns.proofs", "campaigns.report_detail", "campaigns.list_sizes",
    "campaigns.preview_frame",
    "imports.progress", "lists.count",
    "panels.cards", "panels.monitor", "practice.html", "relay_queue.live", "relay_reports.live",
    # Needs a file on the disk; the import's way is walked in test_main_job.py.
    "imports.mapping",
}  # fmt: skip
NAMED_ENDPOINT = re.compile(r"""(?:url_for|item)\(\s*["'](\w+\.\w+)["']""")
STATES = {
    # Pages that look the same, or lead elsewhere, in the other states of tests/e2e/everything.py.
    "campaigns.edit": slice(0, 2), "campaigns.review": slice(0, 2), "campaigns.preview": slice(0, 2),
    "campaigns.people": slice(4, None), "campaigns.report": slice(4, None), "campaigns.person": slice(6, 7),
    "imports.rows": slice(5, 6),
}  # fmt: skip
VARIANTS = {
    "practice.message": ("view=text", "view=headers", "view=source"),
    "campaigns.people": ("status=bounced", "q=nadie"),
    "imports.rows": ("outcome=invalid", "outcome=duplicate"),
    "lists.index": ("archived=1",),
    "contacts.index": ("q=nadie",),
    "campaigns.index": ("q=nadie",),
    "egress.index": ("state=quarantined", "pool=999999"),
    "providers.index": (
        "q=gmail.com",
        "q=example.pe",
        "q=nadie",
        "q=oficina-descentralizada-de-huancavelica.example.pe",
    ),
}


@pytest.fixture
def context(browser: "Browser", site: str) -> Iterator["BrowserContext"]:
    context = browser.new_context(base_url=site, viewport={"width": WIDTHS[0], "height": 900}, locale="es-PE")
    yield context
    context.close()


def enter(context: "BrowserContext", site: str, client: FlaskClient, user: User) -> None:
    cookie = log_in(client, user).get_cookie("chaski_session")
    assert cookie is not None
    context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": site}])


def addresses(app: Flask, panel: Panel, ids: Ids) -> Iterator[str]:
    """Of every page, once for each id that it may show."""
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule):
        if "GET" not in (rule.methods or ()) or rule.endpoint in NO_PAGES:
            continue
        for values in choices(rule, ids):
            address = app.url_map.bind("").build(
                rule.endpoint, values | ({"panel": panel.slug} if "panel" in rule.arguments else {})
            )
            yield from (address, *(f"{address}?{variant}" for variant in VARIANTS.get(rule.endpoint, ())))


def choices(rule: "Rule", ids: Ids) -> Iterator[dict[str, Any]]:
    names = sorted(rule.arguments - {"panel"})
    unknown = [name for name in names if name not in ids]
    assert not unknown, f"{rule.rule}: teach tests/e2e/everything.py about {unknown}"
    wanted = STATES.get(rule.endpoint, slice(None))
    for chosen in product(
        *(ids[name][wanted if name in ("campaign_id", "import_id") else slice(None)] for name in names)
    ):
        yield dict(zip(names, chosen, strict=True))


def examine(page: "Page", watch: Watch, address: str) -> list[str]:
    """All problems of a page, at every width."""
    answer = page.goto(address)
    assert answer is not None
    if answer.status != 200:
        return [f"{address}: {answer.status}"]
    page.locator(".htmx-request").first.wait_for(state="detached")
    found = []
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        found += [f"{address} at {width} px: {problem}" for problem in problems_of(page)]
    page.set_viewport_size({"width": WIDTHS[0], "height": 900})
    found += [f"{address}: {trouble}" for trouble in watch.troubles]
    watch.troubles.clear()
    return found


def test_every_page_of_a_full_panel(
    app: Flask, client: FlaskClient, session: AnySession, settings: Settings, panel: Panel, other_panel: Panel,
    admin: User, site: str, context: "BrowserContext",
) -> None:  # fmt: skip
    ids = everything(session, settings, panel, admin)
    page, watch = context.new_page(), Watch(context, site)
    found = examine(page, watch, "/login")
    enter(context, site, client, admin)
    found += [problem for address in addresses(app, panel, ids) for problem in examine(page, watch, address)]
    assert not found, "\n".join(found)


def test_every_page_of_an_empty_panel_for_who_may_only_look(
    app: Flask, client: FlaskClient, panel: Panel, bob: User, site: str, context: "BrowserContext"
) -> None:
    enter(context, site, client, bob)
    page, watch = context.new_page(), Watch(context, site)
    found = []
    for rule in app.url_map.iter_rules():
        if rule.arguments == {"panel"} and "GET" in (rule.methods or ()) and rule.endpoint not in NO_PAGES:
            address = app.url_map.bind("").build(rule.endpoint, {"panel": panel.slug})
            if context.request.get(address).status == 200:
                found += examine(page, watch, address)
    assert not found, "\n".join(found)


def test_page_that_does_not_exist_is_one_too(
    client: FlaskClient, panel: Panel, bob: User, site: str, context: "BrowserContext"
) -> None:
    enter(context, site, client, bob)
    page = context.new_page()
    answer = page.goto("/p/empleo/campaigns/999999")
    assert answer is not None
    assert answer.status == 404
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        assert problems_of(page) == []


def test_no_template_names_an_address_that_is_not_there(app: Flask) -> None:
    """A link that only some people see would break only for them."""
    named = set()
    for name in app.jinja_env.list_templates(extensions=["html"]):
        source = (Path(app.root_path) / "templates" / name).read_text(encoding="utf-8")
        named |= {(name, endpoint) for endpoint in NAMED_ENDPOINT.findall(source)}
    assert named
    assert [one for one in sorted(named) if one[1] not in app.view_functions] == []


def test_the_watch_sees_what_is_wrong(site: str, context: "BrowserContext") -> None:
    """Else an empty list of problems would prove nothing."""
    page, watch = context.new_page(), Watch(context, site)
    page.goto("/login")
    page.evaluate(
        """() => {
            document.title = "";
            document.body.innerHTML = `<h1>a</h1><h1>b</h1><p class="text-nowrap">${"ancho ".repeat(400)}</p><input>
                <img src="/static/img/chaski.svg"><img alt="" src="https://example.com/pixel.gif"><i style="color: red">x</i>`;
        }"""
    )
    page.wait_for_timeout(500)
    told = "\n".join(problems_of(page) + watch.troubles)
    for wanted in (
        "no title", "2 first headings", "wider (", "field without a name", "image-alt", "Content Security Policy",
        "request to somebody else: https://example.com/pixel.gif",
    ):  # fmt: skip
        assert wanted in told, told
