"""The warm-up's plot in Chromium."""

from typing import TYPE_CHECKING

import pytest
from flask.testing import FlaskClient

from app.mail.mailbox_providers import providers
from app.models import User
from tests.fixtures.app import log_in

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.browser, pytest.mark.slow]

CURVES = """() => window.echarts.getInstanceByDom(document.querySelector("[data-plot=warm-up]"))
    .getOption().series.map(({ data }) => data)"""


def test_the_plot_shows_the_shipped_curve_and_follows_what_is_written(
    browser: "Browser", client: FlaskClient, admin: User, site: str
) -> None:
    usual = list(providers()["google"].limits.warm_up_caps)
    cookie = log_in(client, admin).get_cookie("chaski_session")
    assert cookie is not None
    context = browser.new_context(base_url=site)
    context.add_cookies([{"name": cookie.key, "value": cookie.value, "url": site}])
    page = context.new_page()
    page.goto("/providers/google")
    page.locator("[data-plot=warm-up] canvas").wait_for()
    assert page.evaluate(CURVES) == [usual, usual]
    page.locator("#warm_up_caps").fill("5, 50; 500 x")
    assert page.evaluate(CURVES) == [[5, 50, 500], usual]
    context.close()
