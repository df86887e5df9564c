"""Checking a domain: bounded in time, in nobody's way, and told in one way afterwards."""

import time
from datetime import UTC, datetime

import dns.resolver
import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.flow import composing, domains
from app.flow.domain_checks import check_domain
from app.flow.review import Level, review
from app.flow.signing import Signing, signing_of
from app.models import DkimKey, SendingDomain
from app.web.domains.sentences import signing_state
from tests import factories
from tests.unit.test_dkim_records import NameServer
from tests.unit.test_dkim_records import server as name_server  # noqa: F401

NOW = datetime(2026, 11, 21, tzinfo=UTC)
CHECKED = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.fixture
def row(session, settings, panel) -> SendingDomain:
    return factories.signed_domain(session, settings, panel)


def add_keys(session, row: SendingDomain, count: int) -> None:
    first = row.dkim_keys[0]
    row.dkim_keys += [
        DkimKey(
            selector=f"otra{number}",
            algorithm=first.algorithm,
            private_key_encrypted=first.private_key_encrypted,
            public_record=first.public_record,
        )
        for number in range(count)
    ]
    session.commit()


class Watched(dns.resolver.Resolver):
    """A resolver that does something of the test's before each question."""

    def __init__(self, server: NameServer, before) -> None:
        super().__init__(configure=False)
        self.nameservers, self.port = ["127.0.0.1"], server.server_address[1]
        self.before = before

    def resolve(self, *asked, **options):
        self.before()
        return super().resolve(*asked, **options)


@pytest.mark.parametrize("more_keys", [0, 9])
def test_silent_name_servers_cost_their_limit_once_however_many_the_keys(session, row, name_server, more_keys):  # noqa: F811
    add_keys(session, row, more_keys)
    name_server.mute = True
    begun = time.monotonic()
    check = check_domain(session, row, name_server.resolver(), now=NOW)
    assert time.monotonic() - begun < 1.9, "one limit is a second"
    assert {result.status for result in [*check.keys.values(), *check.records.values()]} == {"unreachable"}
    assert len(check.keys) == more_keys + 1


def test_no_transaction_waits_for_the_name_servers(session, row, name_server):  # noqa: F811
    seen, own = [], session()  # The resolver's threads have no scope to find it by.
    check_domain(session, row, Watched(name_server, lambda: seen.append(own.in_transaction())), now=NOW)
    assert seen == [False] * 4


def meanwhile(session, statement: str):
    """Somebody else's deed while the name servers are asked."""
    engine = session.get_bind()

    def act() -> None:
        with Session(engine) as other:
            other.execute(text(statement))
            other.commit()

    return act


def test_domain_that_was_removed_meanwhile_is_gone_and_nothing_is_kept(session, row, name_server):  # noqa: F811
    resolver = Watched(name_server, meanwhile(session, "DELETE FROM sending_domain"))
    assert check_domain(session, row, resolver, now=NOW) is None


def test_return_path_that_was_changed_meanwhile_gets_no_states_of_the_old_name(session, row, name_server):  # noqa: F811
    resolver = Watched(name_server, meanwhile(session, "UPDATE sending_domain SET return_path_domain = 'x.gob.pe'"))
    assert check_domain(session, row, resolver, now=NOW) is not None
    assert row.dns_states == {"dmarc": "missing"}
    assert row.return_path_domain == "x.gob.pe"


def test_new_return_path_forgets_what_was_found_of_the_old_one_only(session, settings, row):
    row.dns_states = {"return_path_mx": "present", "return_path_spf": "several", "dmarc": "present"}
    row.dns_checked_at = CHECKED
    session.commit()
    domains.update_domain(session, settings, row, return_path_domain="vuelta.example.gob.pe", tracking_url="")
    assert (row.dns_states, row.dns_checked_at) == ({"dmarc": "present"}, CHECKED)


@pytest.mark.parametrize(
    ("published", "signing", "finding", "level", "word"),
    [
        ((True, True), Signing.READY, None, None, "publicado"),
        ((True, False), Signing.PARTLY, "dkim_partly", Level.NOTICE, "falta una de las claves"),
        ((False, False), Signing.UNPUBLISHED, "dkim_unpublished", Level.BLOCKER, "sin publicar"),
        ((None, None), Signing.UNCHECKED, "dkim_unchecked", Level.BLOCKER, "sin comprobar"),
    ],
)
def test_list_checklist_and_composer_say_the_same_of_what_signs(
    app, session, settings, panel, row, published, signing, finding, level, word
):
    factories.relay(session, panel, 2525)
    add_keys(session, row, 2)
    *signing_ones, retired = row.dkim_keys
    retired.is_active, retired.is_published, retired.checked_at = False, published[0] is False, CHECKED
    for key, is_published in zip(signing_ones, published, strict=True):
        key.is_published, key.checked_at = bool(is_published), CHECKED if is_published is not None else None
    session.commit()
    campaign = factories.campaign(session, panel, html="<p>Hola</p>")
    found = {one.code: one for one in review(session, settings, campaign).findings if one.code.startswith("dkim")}
    assert signing_of(row) is signing
    assert {code: one.level for code, one in found.items()} == ({finding: level} if finding else {})
    assert len(composing.signers_of(settings, row)) == 2
    with app.test_request_context():
        assert signing_state(row)[:2] == ("DKIM", word)
    if signing is Signing.PARTLY:
        assert found["dkim_partly"].details["selectors"] == signing_ones[1].selector
