"""Whose mailboxes a campaign's recipients have: asked of a real name server on the loopback, also a bad one."""

import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.flow import audience, mail_domains
from app.models import Campaign, CampaignStatus, MailDomain, SubscriptionStatus
from tests import factories
from tests.dns_tools import conftest as dns_fixtures

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)

running_nameserver, nameserver = dns_fixtures.running_nameserver, dns_fixtures.nameserver


@pytest.fixture
def asking(settings, nameserver):
    return replace(settings, dns_servers=f"127.0.0.1:{nameserver.port}")


@pytest.fixture
def mailing_list(session, panel):
    return factories.mailing_list(session, panel)


@pytest.fixture
def campaign(session, panel, mailing_list):
    return factories.campaign(session, panel, mailing_list)


@pytest.fixture
def people(session, panel, mailing_list):
    """Contacts, one for each domain given."""

    def add(*domains: str, status=SubscriptionStatus.SUBSCRIBED) -> None:
        for number, domain in enumerate(domains):
            factories.contact(session, panel, f"persona{number}@{domain}", mailing_list, status=status)

    return add


@pytest.fixture
def prepare(session, asking, campaign):
    def act(now=NOW, **options):
        return mail_domains.prepare(session, asking, campaign.id, now=now, **options)

    return act


def table(session) -> dict[str, str]:
    session.expire_all()
    return {row.domain: row.provider for row in session.scalars(select(MailDomain))}


def row(session, domain: str) -> MailDomain:
    return session.get_one(MailDomain, domain, populate_existing=True)


def questions(nameserver) -> set[str]:
    return {name for name, _type, _transport in nameserver.asked}


def test_every_domain_of_the_lists_gets_the_provider_of_its_best_mx(session, nameserver, people, prepare):
    nameserver.load(
        """\
empresa.example.pe. MX 10 aspmx.l.google.com.
empresa.example.pe. MX 20 mail.example.pe.
muni.example.pe. MX 5 muni-example-pe.mail.protection.outlook.com.
propia.example.pe. MX 10 mail.propia.example.pe.
propia.example.pe. MX 20 aspmx.l.google.com.
sinmx.example.pe. A 192.0.2.1
nulo.example.pe. MX 0 .
"""
    )
    people(
        "empresa.example.pe", "muni.example.pe", "propia.example.pe", "sinmx.example.pe", "nulo.example.pe",
        "no-hay.example.pe", "gmail.com",
    )  # fmt: skip
    assert prepare() == 0
    assert table(session) == {
        "empresa.example.pe": "google",
        "muni.example.pe": "microsoft365",
        "propia.example.pe": "other",
        "sinmx.example.pe": "other",
        "nulo.example.pe": "other",
        "no-hay.example.pe": "other",
        "gmail.com": "google",
    }
    assert row(session, "empresa.example.pe").mx_host == "aspmx.l.google.com"
    assert row(session, "nulo.example.pe").mx_host == ""
    assert (row(session, "gmail.com").looked_up_at, row(session, "muni.example.pe").looked_up_at) == (None, NOW)
    assert "gmail.com" not in questions(nameserver), "known by its name"


def test_second_campaign_asks_nothing_until_answers_expire(session, nameserver, people, prepare):
    nameserver.load("a.example.pe. 3600 MX 10 aspmx.l.google.com.")
    people("a.example.pe", "gmail.com")
    prepare()
    nameserver.asked.clear()
    prepare(now=NOW + 23 * HOUR)
    assert questions(nameserver) == set()
    nameserver.nodes.clear()
    nameserver.load("a.example.pe. 3600 MX 10 mx.a.example.pe.")
    prepare(now=NOW + 25 * HOUR)
    assert table(session) == {"a.example.pe": "other", "gmail.com": "google"}


@pytest.mark.parametrize("ttl, hours", [(0, 6), (60, 6), (3600, 24), (86400, 168), (2**31 - 1, 168)])
def test_answers_are_kept_by_their_ttl_within_bounds(session, nameserver, people, prepare, ttl, hours):
    nameserver.load(f"a.example.pe. {ttl} MX 10 aspmx.l.google.com.")
    people("a.example.pe")
    prepare()
    assert row(session, "a.example.pe").expires_at == NOW + hours * HOUR


def test_that_there_are_no_mx_is_kept_for_a_day(session, people, prepare):
    people("no-hay.example.pe")
    prepare()
    assert row(session, "no-hay.example.pe").expires_at == NOW + 24 * HOUR


def test_only_domains_of_subscribed_members_of_the_campaigns_lists_are_asked(
    session, nameserver, people, prepare, panel, other_panel
):  # fmt: skip
    people("a.example.pe")
    people("baja.example.pe", status=SubscriptionStatus.UNSUBSCRIBED)
    elsewhere = factories.mailing_list(session, panel, "Otra")
    factories.contact(session, panel, "x@otra-lista.example.pe", elsewhere)
    factories.contact(session, other_panel, "x@otro-panel.example.pe", factories.mailing_list(session, other_panel))
    prepare()
    assert questions(nameserver) == {"a.example.pe"}
    assert set(table(session)) == {"a.example.pe"}


@pytest.mark.parametrize("fault", ["silent", "servfail", "refused"])
def test_dns_that_is_away_leaves_what_was_known_and_is_asked_again_soon(session, nameserver, people, prepare, fault):
    nameserver.load("a.example.pe. 300 MX 10 aspmx.l.google.com.")
    people("a.example.pe")
    prepare()
    getattr(nameserver, fault).add("a.example.pe")
    later = NOW + 7 * HOUR
    assert prepare(now=later) == 1
    kept = row(session, "a.example.pe")
    assert (kept.provider, kept.mx_host, kept.looked_up_at) == ("google", "aspmx.l.google.com", NOW)
    assert later < kept.expires_at <= later + 2 * HOUR


def test_domain_that_stays_silent_is_asked_less_and_less(session, asking, nameserver, people, prepare):
    nameserver.servfail.add("a.example.pe")
    people("a.example.pe")
    prepare()
    waits = []
    for _ in range(8):
        due = row(session, "a.example.pe").expires_at
        mail_domains.refresh(session, asking, now=due)
        waits.append((row(session, "a.example.pe").expires_at - due).total_seconds())
    assert waits[0] == 600
    assert waits == sorted(waits)
    assert max(waits) <= 7200


def test_silent_domains_hold_neither_the_others_nor_the_campaign(session, nameserver, people, prepare):
    silent = [f"mudo{n}.example.pe" for n in range(20)]
    good = [f"bueno{n}.example.pe" for n in range(40)]
    nameserver.silent.update(silent)
    nameserver.load("\n".join(f"{name}. MX 10 aspmx.l.google.com." for name in good))
    people(*silent, *good)
    begun = time.monotonic()
    assert prepare(seconds=1.5) == 20
    assert time.monotonic() - begun < 2.5
    assert {name for name, provider in table(session).items() if provider == "google"} == set(good)


def test_what_time_did_not_allow_is_other_and_found_by_the_refresh(session, asking, nameserver, people, prepare):
    nameserver.slow_seconds["lento.example.pe"] = 0.6
    nameserver.load("lento.example.pe. MX 10 aspmx.l.google.com.")
    people("lento.example.pe")
    assert prepare(seconds=0.1) == 1
    assert table(session) == {"lento.example.pe": "other"}
    assert mail_domains.is_due(session, now=NOW)
    assert mail_domains.refresh(session, asking, now=NOW) == 0
    assert table(session) == {"lento.example.pe": "google"}
    assert not mail_domains.is_due(session, now=NOW)


def test_domains_with_most_people_are_asked_first(session, nameserver, panel, mailing_list, prepare, monkeypatch):
    monkeypatch.setattr(mail_domains, "PARALLEL", 1)
    names = ["c.example.pe", "a.example.pe", "b.example.pe"]
    for people, name in enumerate(names, 1):
        factories.contacts(session, panel, mailing_list, people, name)
    prepare()
    assert [name for name, *_ in nameserver.asked] == names[::-1]


def test_dns_that_is_away_altogether_is_given_up_at_once(session, asking, nameserver, people, prepare):
    people(*(f"d{n}.example.pe" for n in range(100)))
    nameserver.deaf = True
    begun = time.monotonic()
    assert prepare(seconds=30) == 100
    assert time.monotonic() - begun < mail_domains.LOOKUP_SECONDS + 1.5, "one time limit, not one after the other"
    assert set(table(session).values()) == {"other"}


def test_hostile_answers_are_nobodys_and_break_nothing(session, nameserver, people, prepare):
    long_label = "\\001" * 60
    nameserver.load(
        f"""\
a.example.pe. MX 10 google.com.evil.test.
b.example.pe. MX 10 evil\\.google.com.
c.example.pe. MX 10 {long_label}.{long_label}.{long_label}.google.com.
d.example.pe. MX 10 \\000\\255.test.
e.example.pe. CNAME e.example.pe.
"""
        + "\n".join(f"f.example.pe. MX {n} mx{n}.example.pe." for n in range(400))
    )
    people(*(f"{letter}.example.pe" for letter in "abcdef"))
    prepare()
    assert set(table(session).values()) == {"other"}
    assert len(row(session, "c.example.pe").mx_host) == 253


def test_no_transaction_is_open_while_the_dns_is_asked(session, nameserver, people, prepare, monkeypatch):
    own, seen, ask = session(), [], mail_domains.query
    monkeypatch.setattr(mail_domains, "query", lambda *asked: (seen.append(own.in_transaction()), ask(*asked))[1])
    people("a.example.pe", "b.example.pe")
    prepare()
    assert seen == [False, False]


def test_lookup_that_fails_in_a_way_nobody_thought_of_costs_that_domain_only(
    session, nameserver, people, prepare, monkeypatch
):
    nameserver.load("b.example.pe. MX 10 aspmx.l.google.com.")
    ask = mail_domains.query

    def failing(resolver, name, kind):
        if name == "a.example.pe":
            raise OverflowError("what?")
        return ask(resolver, name, kind)

    monkeypatch.setattr(mail_domains, "query", failing)
    people("a.example.pe", "b.example.pe")
    assert prepare() == 1
    assert table(session) == {"a.example.pe": "other", "b.example.pe": "google"}


def test_campaigns_prepared_at_once_do_not_wait_for_each_other_for_ever(
    app, session, asking, panel, mailing_list, campaign
):
    factories.contacts(session, panel, mailing_list, 300, *(f"d{n}.example.pe" for n in range(300)))
    other = factories.campaign(session, panel, mailing_list, name="Otra")
    ids, engine, failures = [campaign.id, other.id], session.get_bind(), []

    def work(campaign_id: int) -> None:
        try:
            with Session(engine) as own:
                for day in range(5):
                    mail_domains.prepare(own, asking, campaign_id, now=NOW + timedelta(days=day))
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(id_,)) for id_ in ids]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert failures == []
    assert len(table(session)) == 300


@pytest.mark.parametrize("servers", ["none", "no address", "127.0.0.1:1"])
def test_campaign_goes_out_without_usable_name_servers(session, settings, panel, mailing_list, people, servers):
    factories.signed_domain(session, settings, panel)
    people("a.example.pe", "gmail.com")
    campaign = factories.campaign(session, panel, mailing_list, status=CampaignStatus.PREPARING)
    assert audience.prepare(session, replace(settings, dns_servers=servers), campaign.id)
    assert session.get_one(Campaign, campaign.id, populate_existing=True).audience_size == 2
    assert table(session) == {"a.example.pe": "other", "gmail.com": "google"}


def test_preparing_a_campaign_finds_the_providers_of_its_audience(
    session, asking, nameserver, panel, mailing_list, people
):
    nameserver.load("a.example.pe. MX 10 aspmx.l.google.com.")
    factories.signed_domain(session, asking, panel)
    people("a.example.pe")
    campaign = factories.campaign(session, panel, mailing_list, status=CampaignStatus.PREPARING)
    assert audience.prepare(session, asking, campaign.id)
    assert table(session) == {"a.example.pe": "google"}
    assert session.scalars(text("SELECT provider FROM batch")).all() == ["google"]


def test_looking_for_providers_takes_less_than_the_lease(session, settings, nameserver, panel, mailing_list, people):
    """Else another worker would begin the same campaign meanwhile."""
    nameserver.deaf = True
    short = replace(settings, dns_servers=f"127.0.0.1:{nameserver.port}", lease_seconds=3)
    factories.signed_domain(session, settings, panel)
    people("a.example.pe")
    campaign = factories.campaign(session, panel, mailing_list, status=CampaignStatus.PREPARING)
    begun = time.monotonic()
    assert audience.prepare(session, short, campaign.id)
    assert time.monotonic() - begun < 2.5


def test_look_up_answers_now_and_keeps_it(session, asking, nameserver):
    nameserver.load("a.example.pe. MX 10 mx.zoho.com.")
    answer = mail_domains.look_up(session, asking, "a.example.pe", now=NOW)
    assert (answer.provider, answer.mx_host) == ("zoho", "mx.zoho.com")
    assert mail_domains.known(session, "a.example.pe").provider == "zoho"


def test_domains_that_nobody_writes_to_are_forgotten(session, people, prepare):
    people("a.example.pe")
    prepare()
    assert mail_domains.forget_unused(session, now=NOW + timedelta(days=59)) == 0
    prepare(now=NOW + timedelta(days=59))
    assert mail_domains.forget_unused(session, now=NOW + timedelta(days=61)) == 0, "used again"
    assert mail_domains.forget_unused(session, now=NOW + timedelta(days=120)) == 1
    assert table(session) == {}


def test_counting_the_people_of_each_domain_is_one_quick_statement(session, panel, mailing_list, campaign, settings):
    """A million take some seconds before their audience is frozen; this is a fiftieth of it."""
    factories.contacts(session, panel, mailing_list, 20_000, *(f"d{n}.example.pe" for n in range(1_000)))
    session.execute(text("ANALYZE contact, subscription"))
    begun = time.monotonic()
    assert mail_domains.prepare(session, settings, campaign.id, now=NOW) == 1_000
    assert time.monotonic() - begun < 1.5
