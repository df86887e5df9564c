"""The checklist before sending: what stops a campaign, what is only said."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.flow import campaigns
from app.flow.campaigns import NotReady
from app.flow.review import STARTER_TEXTS, Level, blockers, example_links, review
from tests import factories

STARTER = Path(__file__).resolve().parents[2] / "app" / "web" / "campaigns" / "starter.html"


@pytest.fixture
def key(session, settings, panel):
    return factories.signed_domain(session, settings, panel).dkim_keys[0]


@pytest.fixture
def draft(session, panel, key):
    people = factories.mailing_list(session, panel)
    factories.contact(session, panel, "ana@example.pe", people)
    return factories.campaign(session, panel, people, html="<p>Hola</p>")


def levels(session, settings, campaign):
    return {finding.code: finding.level for finding in review(session, settings, campaign).findings}


@pytest.mark.parametrize(("checked", "code"), [(None, "dkim_unchecked"), (datetime.now(UTC), "dkim_unpublished")])
def test_key_that_is_not_known_to_be_published_stops_a_real_campaign_only(
    session, settings, panel, draft, key, checked, code
):
    key.checked_at = checked
    session.commit()
    found = levels(session, settings, draft)
    assert found[code] is Level.NOTICE
    assert "from_ready" not in found
    assert blockers(session, settings, draft) == []
    factories.relay(session, panel, 2525)
    assert levels(session, settings, draft)[code] is Level.BLOCKER
    with pytest.raises(NotReady) as refused:
        campaigns.schedule_campaign(session, settings, panel.id, draft.id)
    assert [finding.code for finding in refused.value.blockers] == [code]


def test_published_key_lets_a_real_campaign_go(session, settings, panel, draft, key):
    factories.relay(session, panel, 2525)
    key.checked_at, key.is_published = datetime.now(UTC), True
    session.commit()
    assert "from_ready" in levels(session, settings, draft)
    campaigns.schedule_campaign(session, settings, panel.id, draft.id)


def test_retired_key_in_the_dns_is_no_use(session, settings, panel, draft, key):
    key.is_published, key.is_active = True, False
    session.commit()
    assert levels(session, settings, draft)["dkim_missing"] is Level.BLOCKER


def test_untouched_starter_is_noticed_passage_by_passage(session, settings, draft):
    draft.html = STARTER.read_text(encoding="utf-8")
    session.commit()
    (finding,) = [one for one in review(session, settings, draft).findings if one.code == "starter_text"]
    assert finding.level is Level.NOTICE
    assert all(passage in finding.details["texts"] for passage in STARTER_TEXTS), "the starter says other things now"
    draft.html = draft.html.replace(STARTER_TEXTS[0], "Feria de empleo")
    session.commit()
    (finding,) = [one for one in review(session, settings, draft).findings if one.code == "starter_text"]
    assert STARTER_TEXTS[0] not in finding.details["texts"]


def test_own_words_are_not_taken_for_the_starter(session, settings, draft):
    assert "starter_text" not in levels(session, settings, draft)


def test_example_links_are_noticed_where_people_would_follow_them(session, settings, panel, draft):
    draft.html = STARTER.read_text(encoding="utf-8")
    session.commit()
    assert "example_links" not in levels(session, settings, draft)
    factories.relay(session, panel, 2525)
    assert levels(session, settings, draft)["example_links"] is Level.NOTICE


@pytest.mark.parametrize(
    ("url", "is_example"),
    [
        ("https://www.example.gob.pe/", True), ("https://example.com", True), ("http://feria.test/x", True),
        ("https://example.pe/feria", True), ("http://localhost:8000/", True), ("https://myexample.gob.pe/", False),
        ("https://www.gob.pe/example", False), ("https://example.gob.pe.attacker.org/", False),
        ("https://test.gob.pe/", False), ("https://latest/", False),
    ],
)  # fmt: skip
def test_hosts_that_stand_for_nothing(url, is_example):
    assert example_links(f'<a href="{url}">x</a>') == ([url] if is_example else [])
