"""What people see of the pace, in Chromium on a phone and on a desk: live page, form, review, warm-up."""

from datetime import UTC, date, datetime, timedelta

import pytest
from redis import Redis

from app.flow.rates import waits
from app.flow.rates.waits import WaitCause
from app.models import Batch, BatchStatus, CampaignStatus, EgressState, EgressUse, MailStream
from tests import factories
from tests.e2e.test_every_page import enter
from tests.e2e.watch import Watch

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

PLACES = """() => window.echarts.getInstanceByDom(document.querySelector("[data-plot=places]"))
    .getOption().series.map(({ data }) => data)"""


@pytest.fixture
def running(session, panel):
    day, now = date(2026, 11, 20), datetime.now(UTC)
    campaign = factories.campaign(
        session, panel, status=CampaignStatus.SENDING, stream=MailStream.URGENT, rate_per_hour=5000, frozen_on=day,
        started_at=now, audience_frozen_at=now,
    )  # fmt: skip
    for first, provider in ((1, "google"), (1001, "outlook"), (2001, "other")):
        session.add(
            Batch(
                campaign_id=campaign.id, frozen_on=day, first_seq=first, last_seq=first + 999, provider=provider,
                status=BatchStatus.READY, planned=600, accepted=380, deferred=20,
            )
        )  # fmt: skip
    session.commit()
    return campaign


@pytest.fixture
def cold(session, panel):
    """A relay with one cold IP that has sent something today."""
    relay, today = factories.relay(session, panel, 2601), datetime.now(UTC).date()
    pool = factories.egress_pool(session, relay)
    ip = factories.egress_ip(
        session, pool, "192.0.2.7", state=EgressState.WARMING, warm_up_started_on=today - timedelta(days=2)
    )
    session.add(EgressUse(egress_ip_id=ip.id, provider="google", day=today, submitted=123))
    session.commit()
    return relay


@pytest.mark.parametrize("width", [360, 1280])
def test_pages_of_the_pace(
    session, settings, client, panel, admin, site, browser, running, cold, redis_url, width
):  # fmt: skip
    redis = Redis.from_url(redis_url)
    waits.note(redis, campaign_id=running.id, provider="google", cause=WaitCause.IP_RATE, seconds=90)
    waits.note(redis, campaign_id=running.id, provider="outlook", cause=WaitCause.WARM_UP, seconds=300)
    people = factories.mailing_list(session, panel)
    factories.contacts(
        session, panel, people, 30
    )  # Not at Google, whose day the urgent campaign uses up at some hours.
    factories.signed_domain(session, settings, panel).dkim_keys[0].is_published = True
    session.commit()
    draft = factories.campaign(session, panel, people, rate_per_hour=10)
    context = browser.new_context(base_url=site, viewport={"width": width, "height": 800}, locale="es-PE")
    enter(context, site, client, admin)
    page, watch = context.new_page(), Watch(context, site)

    page.goto(f"/p/empleo/campaigns/{running.id}")
    page.locator("text=Google: cada IP llegó a su ritmo").wait_for()
    page.locator("#forecast >> text=Termina").wait_for()
    assert page.locator(".provider-bars progress").count() == 3
    watch.look(page)

    page.goto("/p/empleo/")
    page.locator("text=Google: cada IP llegó a su ritmo").wait_for()
    watch.look(page)

    page.goto(f"/p/empleo/campaigns/{draft.id}/edit")
    page.select_option("#stream", "urgent")
    watch.look(page)

    page.goto(f"/p/empleo/campaigns/{draft.id}/review?whole=1")
    page.locator("#forecast >> text=límite por hora de la campaña").wait_for()
    watch.look(page)
    page.fill("#at", "2027-03-01T08:00")
    page.locator("#at").dispatch_event("change")
    page.locator("#forecast >> text=Termina el 1 mar 2027 a las 11:00.").wait_for()

    page.goto(f"/relays/{cold.id}/egress/warm-up")
    page.locator("[data-plot=places] canvas").first.wait_for()
    curve, places = page.evaluate(PLACES)
    assert (curve[:3], places) == ([100, 200, 400], [[2, 123]])
    watch.look(page)
    page.goto(f"/relays/{cold.id}/egress")
    watch.look(page)
    context.close()
