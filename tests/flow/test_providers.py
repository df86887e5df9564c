"""The limits in force, and where the contacts are."""

import threading
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.flow import providers
from app.flow.providers import ProviderProblem, limits_of, save_limits
from app.mail.mailbox_providers import Limits
from app.mail.mailbox_providers import providers as shipped
from app.models import MailDomain, ProviderLimits
from tests import factories

LIMITS = Limits(messages_per_minute=7, connections=2, messages_per_connection=3, warm_up_caps=(10, 10, 30))
NOW = datetime(2026, 11, 21, tzinfo=UTC)


def test_shipped_limits_hold_until_somebody_changes_them(session, admin):
    assert limits_of(session) == {key: provider.limits for key, provider in shipped().items()}
    save_limits(session, "google", LIMITS, admin)
    assert limits_of(session)["google"] == LIMITS
    assert limits_of(session)["yahoo"] == shipped()["yahoo"].limits
    providers.reset_limits(session, "google")
    assert limits_of(session)["google"] == shipped()["google"].limits


def test_limits_changed_twice_are_the_later_ones_with_their_author(session, admin, alice):
    save_limits(session, "google", LIMITS, admin)
    save_limits(session, "google", replace(LIMITS, connections=9), alice)
    change = providers.changed_limits(session)["google"]
    assert (change.connections, change.updated_by_id) == (9, alice.id)


def test_writing_the_shipped_limits_again_is_no_change(session, admin):
    save_limits(session, "google", LIMITS, admin)
    save_limits(session, "google", shipped()["google"].limits, admin)
    assert providers.changed_limits(session) == {}


def test_provider_that_is_no_longer_shipped_goes_as_the_others(session):
    session.add(
        ProviderLimits(
            provider="gone", messages_per_minute=1, connections=1, messages_per_connection=1, warm_up_caps=[]
        )
    )
    session.commit()
    assert limits_of(session)["gone"] == shipped()["other"].limits
    assert "gone" not in limits_of(session)


@pytest.mark.parametrize(
    "caps, code, day",
    [
        ((1,) * 61, "too_many_days", None),
        ((0, 1), "cap_out_of_range", 1),
        ((1, 10_000_001), "cap_out_of_range", 2),
        ((10, 20, 19), "cap_falls", 3),
    ],
)
def test_warm_up_that_cannot_be_meant_is_refused(session, caps, code, day):
    with pytest.raises(ProviderProblem) as refused:
        save_limits(session, "google", replace(LIMITS, warm_up_caps=caps), None)
    assert (refused.value.code, refused.value.details.get("day")) == (code, day)
    assert providers.changed_limits(session) == {}


def test_no_warm_up_at_all_can_be_meant(session):
    save_limits(session, "google", replace(LIMITS, warm_up_caps=()), None)
    assert limits_of(session)["google"].warm_up_caps == ()


def test_two_people_who_save_at_once_both_succeed(session):
    failures, engine = [], session.get_bind()

    def work(connections: int) -> None:
        try:
            with Session(engine) as own:
                for _ in range(20):
                    save_limits(own, "google", replace(LIMITS, connections=connections), None)
                    providers.reset_limits(own, "google")
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in (1, 2, 3)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert failures == []


def test_contacts_count_with_the_provider_of_their_domain(session, panel):
    for number, domain in enumerate(
        ["gmail.com", "gmail.com", "empresa.example.pe", "muda.example.pe", "nueva.example.pe"]
    ):
        factories.contact(session, panel, f"p{number}@{domain}")
    session.add_all(
        [
            MailDomain(domain="empresa.example.pe", provider="google", looked_up_at=NOW, expires_at=NOW),
            MailDomain(domain="muda.example.pe", provider="other", expires_at=NOW),
            MailDomain(domain="propia.example.pe", provider="other", looked_up_at=NOW, expires_at=NOW),
        ]
    )
    session.commit()
    where = providers.whereabouts(session)
    assert where.domains == {"google": 1, "other": 2}
    assert where.sampled == {"google": 3, "": 2}, "known by name; by MX; never answered; never asked"


def test_figures_of_many_contacts_come_from_a_sample_that_stands_still(session, panel, monkeypatch):
    monkeypatch.setattr(providers, "SAMPLED_CONTACTS", 2_000)
    people = factories.mailing_list(session, panel)
    factories.contacts(session, panel, people, 30_000, "gmail.com", "hotmail.com", "gmail.com")
    session.execute(text("ANALYZE contact"))
    where = providers.whereabouts(session)
    assert 500 < where.sample_size < 6_000
    assert where.sampled["google"] / where.sample_size == pytest.approx(2 / 3, abs=0.05)
    assert providers.whereabouts(session).sampled == where.sampled


def test_installation_without_contacts_has_figures_too(session):
    assert providers.whereabouts(session).sample_size == 0
