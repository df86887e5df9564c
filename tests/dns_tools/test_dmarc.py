"""DMARC: records, the tree walk, alignment, report addresses (RFC 9989, 9990, 7489)."""

import pytest

from dns_tools.dmarc import DkimIdentity, RecordError, discover, evaluate, organizational_domain, parse
from dns_tools.dmarc.check import check_alignment, check_dmarc
from dns_tools.dmarc.record import Policy
from dns_tools.dmarc.suffixes import PublicSuffixes, shipped_suffixes
from dns_tools.findings import Status, worst

DOMAIN = "boletin.example.gob.pe"
PARENT = "example.gob.pe"


def publish(nameserver, **records):
    """`publish(server, **{domain: text})`"""
    for domain, text in records.items():
        nameserver.txt(f"_dmarc.{domain}", text)
    return nameserver.resolver()


# --- the record ---


def test_a_whole_record():
    record = parse(
        "v=DMARC1; p=quarantine; sp=Reject; np=reject; t=y; psd=n; adkim=s; aspf=s; fo=1:d:s;"
        " rua=mailto:a@example.pe,mailto:b%2Bc@reports.example.pe!10m; ruf=mailto:f@example.pe; x_y=1; ri=3600; pct=20"
    )
    assert (record.policy, record.subdomain_policy, record.nonexistent_policy) == ("quarantine", "reject", "reject")
    assert (record.testing, record.psd, record.strict_dkim, record.strict_spf) == (True, "n", True, True)
    assert record.failure_options == ("1", "d", "s")
    assert [target.address for target in record.aggregate_to] == ["a@example.pe", "b+c@reports.example.pe"]
    assert (record.aggregate_to[1].has_size, record.percent) == (True, 20)
    assert (record.unknown, record.removed, record.mistakes) == (("x_y",), ("ri", "pct"), ())


@pytest.mark.parametrize(
    "text, code",
    [
        ("v=DMARC2; p=none", "version"),
        ("p=none; v=DMARC1", "version"),
        ("v=dmarc1; p=none", "version"),
        (" v=DMARC1; p=none", "version"),
        ("", "version"),
        ("v=DMARC1; p=nöne", "version"),
        ("v=DMARC1; none", "not_a_tag_list"),
        ("v=DMARC1; p=none; p=reject", "duplicate_tag"),
        ("v=DMARC1; p=monitor", "policy"),
        ("v=DMARC1; p=none; sp=all", "policy"),
        ("v=DMARC1; p=reject; rua=https://example.pe; np=x", "policy"),
        ("v=DMARC1;" + " " * 9000, "too_long"),
    ],
)
def test_what_is_no_record(text, code):
    with pytest.raises(RecordError) as caught:
        parse(text)
    assert caught.value.code == code


def test_a_wrong_policy_with_a_report_address_is_none():
    record = parse("v=DMARC1; p=monitor; sp=reject; rua=mailto:a@example.pe")
    assert (record.policy, record.subdomain_policy, record.mistakes) == (Policy.NONE, None, ("p=monitor",))


def test_a_missing_policy_is_none():
    assert parse("v=DMARC1").policy is Policy.NONE
    assert parse("v=DMARC1").policy_missing


def test_wrong_values_fall_back_to_defaults():
    record = parse("v = DMARC1 ; p = reject ; adkim=x; aspf=; fo=7; t=maybe; psd=q; pct=101; rua=mailto:x")
    assert (record.policy, record.strict_dkim, record.strict_spf, record.testing, record.psd) == (
        "reject",
        False,
        False,
        False,
        "u",
    )
    assert set(record.mistakes) == {"adkim=x", "aspf=", "fo=7", "t=maybe", "psd=q", "pct=101", "rua=mailto:x"}


@pytest.mark.parametrize(
    "text, subdomain, exists, expected",
    [
        ("p=reject", True, True, "reject"),
        ("p=reject; sp=none", True, True, "none"),
        ("p=reject; sp=none", False, True, "reject"),
        ("p=reject; sp=none", True, False, "none"),
        ("p=none; sp=quarantine; np=reject", True, False, "reject"),
        ("p=none; np=reject", True, True, "none"),
        ("p=reject; t=y", False, True, "quarantine"),
        ("p=quarantine; t=y", False, True, "none"),
    ],
)
def test_the_policy_that_is_asked_for(text, subdomain, exists, expected):
    assert parse(f"v=DMARC1; {text}").policy_for(subdomain=subdomain, exists=exists) == expected


# --- discovery ---


def test_the_walk_goes_up_to_the_top_and_the_highest_record_is_the_organisation(nameserver):
    resolver = publish(nameserver, **{"a.mail.example.com": "v=DMARC1; p=reject", "example.com": "v=DMARC1; p=none"})
    found = discover(resolver, "A.mail.example.com.")
    assert [step.domain for step in found.steps] == ["a.mail.example.com", "mail.example.com", "example.com", "com"]
    assert (found.organizational_domain, found.applied.domain, found.policy) == (
        "example.com",
        "a.mail.example.com",
        "reject",
    )


def test_a_parent_that_is_the_organisation_lends_its_subdomain_policy(nameserver):
    nameserver.load(f"{DOMAIN}. A 192.0.2.1")
    resolver = publish(nameserver, **{PARENT: "v=DMARC1; p=reject; sp=quarantine; np=none"})
    found = discover(resolver, DOMAIN)
    assert (found.applied.domain, found.organizational_domain, found.policy) == (PARENT, PARENT, "quarantine")
    assert discover(resolver, f"missing.{PARENT}").policy == "none"


def test_psd_n_is_the_organisation_and_ends_the_walk(nameserver):
    resolver = publish(nameserver, **{"b.example.com": "v=DMARC1; psd=n; p=none", "example.com": "v=DMARC1; p=reject"})
    found = discover(resolver, "a.b.example.com")
    assert (found.organizational_domain, found.steps[-1].domain) == ("b.example.com", "b.example.com")


def test_psd_y_makes_the_name_below_it_the_organisation(nameserver):
    resolver = publish(nameserver, **{"gob.pe": "v=DMARC1; p=reject; psd=y; sp=quarantine; np=reject"})
    found = discover(resolver, f"a.{DOMAIN}")
    assert (found.organizational_domain, found.applied.domain, found.policy) == (PARENT, "gob.pe", "reject")
    nameserver.load(f"a.{DOMAIN}. A 192.0.2.1")
    assert discover(resolver, f"a.{DOMAIN}").policy == "quarantine"


def test_psd_y_at_the_start_is_its_own_organisation(nameserver):
    resolver = publish(nameserver, **{"gob.pe": "v=DMARC1; p=reject; psd=y"})
    assert organizational_domain(resolver, "gob.pe") == "gob.pe"


def test_without_any_record_the_domain_is_its_own_organisation(nameserver):
    found = discover(nameserver.resolver(), DOMAIN)
    assert (found.organizational_domain, found.record, found.unknown) == (DOMAIN, None, False)


def test_a_long_name_costs_eight_questions_at_most(nameserver):
    long = ".".join("abcdefghijk") + ".example.com"
    found = discover(nameserver.resolver(), long)
    assert [step.domain.count(".") + 1 for step in found.steps] == [13, 7, 6, 5, 4, 3, 2, 1]


def test_two_records_are_none_and_the_walk_goes_on(nameserver):
    resolver = publish(nameserver, **{PARENT: "v=DMARC1; p=reject"})
    nameserver.txt(f"_dmarc.{DOMAIN}", "v=DMARC1; p=none", "v=DMARC1; p=reject", "other text")
    found = discover(resolver, DOMAIN)
    assert (found.applied.domain, found.steps[0].problem) == (PARENT, "several")


def test_a_server_that_fails_leaves_the_question_open(nameserver):
    nameserver.servfail.add(f"_dmarc.{DOMAIN}")
    assert discover(nameserver.resolver(), DOMAIN).unknown


def test_the_older_way_is_told_where_it_differs(nameserver):
    resolver = publish(nameserver, **{f"mid.{PARENT}": "v=DMARC1; p=reject"})
    found = discover(resolver, f"a.mid.{PARENT}")
    assert (found.applied.domain, found.legacy_record_domain) == (f"mid.{PARENT}", "")


def test_organisations_by_a_suffix_list():
    suffixes = shipped_suffixes()
    assert suffixes.organizational_domain(f"a.{DOMAIN}") == PARENT
    assert suffixes.organizational_domain("gob.pe") == "gob.pe"
    assert suffixes.organizational_domain("x.y.example.com") == "example.com"
    assert suffixes.organizational_domain("a.b.c.ck") == "b.c.ck"
    assert suffixes.organizational_domain("a.www.ck") == "www.ck"
    assert PublicSuffixes(["// x", "", "test", "b.test"]).organizational_domain("a.b.test") == "a.b.test"


# --- the verdict ---


@pytest.mark.parametrize(
    "record, spf, dkim, expected",
    [
        ("p=reject", DOMAIN, (), "pass"),
        ("p=reject", f"r.{DOMAIN}", (), "pass"),
        ("p=reject", PARENT, (), "pass"),
        ("p=reject; aspf=s", PARENT, (), "fail"),
        ("p=reject; aspf=s", DOMAIN.upper(), (), "pass"),
        ("p=reject", "example.org", (), "fail"),
        ("p=reject", "", (PARENT,), "pass"),
        ("p=reject; adkim=s", "", (PARENT,), "fail"),
        ("p=reject; adkim=s", "", ("example.org", DOMAIN), "pass"),
        ("p=reject", f"not{PARENT}", (), "fail"),
        ("p=reject", "gob.pe", (), "fail"),
    ],
)
def test_alignment(nameserver, record, spf, dkim, expected):
    resolver = publish(nameserver, **{PARENT: f"v=DMARC1; {record}"})
    verdict = evaluate(
        resolver,
        DOMAIN,
        spf_domain=spf,
        spf_passed=bool(spf),
        dkim=[DkimIdentity(domain=name, passed=True) for name in dkim],
    )
    assert verdict.result == expected
    assert verdict.disposition == ("none" if expected == "pass" else "reject")


def test_what_did_not_authenticate_aligns_with_nothing(nameserver):
    resolver = publish(nameserver, **{DOMAIN: "v=DMARC1; p=quarantine"})
    verdict = evaluate(resolver, DOMAIN, spf_domain=DOMAIN, dkim=[DkimIdentity(domain=DOMAIN, passed=False)])
    assert (verdict.result, verdict.disposition) == ("fail", "quarantine")


def test_what_could_not_be_told_fails_nothing(nameserver):
    resolver = publish(nameserver, **{DOMAIN: "v=DMARC1; p=reject"})
    own, other = (DkimIdentity(domain=name, passed=False, unknown=True) for name in (DOMAIN, "example.org"))
    assert evaluate(resolver, DOMAIN, dkim=[own]).result == "temperror"
    assert evaluate(resolver, DOMAIN, dkim=[other]).result == "fail"
    assert evaluate(resolver, DOMAIN, spf_domain=DOMAIN, spf_unknown=True).result == "temperror"
    assert evaluate(resolver, DOMAIN, spf_domain=DOMAIN, spf_passed=True, dkim=[own]).result == "pass"


def test_a_domain_without_policy_has_no_verdict(nameserver):
    assert evaluate(nameserver.resolver(), DOMAIN, spf_domain=DOMAIN, spf_passed=True).result == "none"
    nameserver.silent.add(f"_dmarc.{DOMAIN}")
    assert evaluate(nameserver.resolver(), DOMAIN).result == "temperror"


# --- the owner's check ---


def codes(nameserver, *texts, domain=DOMAIN):
    nameserver.txt(f"_dmarc.{domain}", *texts)
    return {found.code: found for found in check_dmarc(nameserver.resolver(), DOMAIN)}


def test_a_good_record_passes(nameserver):
    nameserver.load(f"{DOMAIN}. MX 0 mx.example.pe.")
    found = codes(nameserver, f"v=DMARC1; p=reject; rua=mailto:dmarc@{DOMAIN}")
    assert set(found) == {"dmarc.found", "dmarc.policy_reject", "dmarc.report_accepted"}
    assert worst(found.values()) is Status.PASS


def test_no_record_is_a_failure_with_a_proposal_that_parses(nameserver):
    found = codes(nameserver)["dmarc.missing"]
    assert found.status is Status.FAIL
    assert found.publish[0].name == f"_dmarc.{DOMAIN}"
    assert parse(found.publish[0].text).aggregate_to


def test_a_record_at_the_domain_itself_is_in_the_wrong_place(nameserver):
    nameserver.txt(DOMAIN, "v=DMARC1; p=reject")
    assert "dmarc.wrong_place" in codes(nameserver)


@pytest.mark.parametrize(
    "texts, code",
    [
        (("v=DMARC1; p=none",), "dmarc.no_reports"),
        (("v=DMARC1; p=none",), "dmarc.policy_none"),
        (("v=DMARC1; p=reject; t=y",), "dmarc.testing"),
        (("v=DMARC1; p=reject; sp=none",), "dmarc.weaker_below"),
        (("v=DMARC1; p=reject; pct=50",), "dmarc.percent"),
        (("v=DMARC1; p=reject; ri=50",), "dmarc.removed_tag"),
        (("v=DMARC1; p=reject; foo=50",), "dmarc.unknown_tag"),
        (("v=DMARC1; p=reject; adkim=q",), "dmarc.bad_value"),
        (("v=DMARC1",), "dmarc.no_policy_tag"),
        (("v=DMARC1; p=x",), "dmarc.syntax"),
        (("v=DMARC1; p=none", "v=DMARC1; p=reject"), "dmarc.several"),
        (("v=DMARC1; p=reject; rua=mailto:a@nowhere.example.net",), "dmarc.report_refused"),
        (("v=DMARC1; p=reject; rua=mailto:a@broken.example.net",), "dmarc.report_unknown"),
        (("v=DMARC1; p=reject; rua=mailto:a@nomail.example.net",), "dmarc.report_no_mail"),
        (("v=DMARC1; p=reject; ruf=mailto:a@good.example.net",), "dmarc.report_accepted"),
        (("v=DMARC1; p=reject; rua=mailto:a@wild.example.net",), "dmarc.report_accepted"),
    ],
)
def test_weaknesses_are_told(nameserver, texts, code):
    nameserver.servfail.add(f"{DOMAIN}._report._dmarc.broken.example.net")
    nameserver.load("good.example.net. A 192.0.2.1\nwild.example.net. A 192.0.2.1")
    for host in ("good", "nomail"):
        nameserver.txt(f"{DOMAIN}._report._dmarc.{host}.example.net", "v=DMARC1")
    nameserver.txt("*._report._dmarc.wild.example.net", "v=DMARC1; rua=mailto:other@wild.example.net")
    assert code in codes(nameserver, *texts)


def test_the_way_to_reject_goes_step_by_step(nameserver):
    found = codes(nameserver, "v=DMARC1; p=none; sp=none; rua=mailto:a@example.pe")["dmarc.policy_none"]
    assert found.publish[0].text == "v=DMARC1; p=quarantine; sp=none; rua=mailto:a@example.pe"
    nameserver.reset()
    found = codes(nameserver, "v=DMARC1;p=quarantine;rua=mailto:a@example.pe")["dmarc.policy_quarantine"]
    assert found.publish[0].text == "v=DMARC1;p=reject;rua=mailto:a@example.pe"


def test_who_publishes_what_a_report_receiver_lacks(nameserver):
    found = codes(nameserver, "v=DMARC1; p=reject; rua=mailto:a@nowhere.example.net")["dmarc.report_refused"]
    assert found.publish[0].zone_line == f'{DOMAIN}._report._dmarc.nowhere.example.net. IN TXT "v=DMARC1;"'


def test_a_parent_that_cannot_be_reached_is_a_warning_only(nameserver):
    nameserver.servfail.add(f"_dmarc.{PARENT}")
    found = codes(nameserver, "v=DMARC1; p=reject")
    assert found["dmarc.step_unreachable"].status is Status.WARNING


@pytest.mark.parametrize(
    "record, return_path, signer, expected",
    [
        ("p=none", f"r.{DOMAIN}", DOMAIN, ["dmarc.aligned", "dmarc.aligned"]),
        ("p=none; aspf=s", f"r.{DOMAIN}", DOMAIN, ["dmarc.not_aligned", "dmarc.aligned"]),
        ("p=none; adkim=s", f"r.{DOMAIN}", PARENT, ["dmarc.aligned", "dmarc.not_aligned"]),
        ("p=none", "bounces.example.net", "example.net", ["dmarc.not_aligned", "dmarc.not_aligned"]),
    ],
)
def test_alignment_is_known_before_anything_is_sent(nameserver, record, return_path, signer, expected):
    resolver = publish(nameserver, **{PARENT: f"v=DMARC1; {record}"})
    found = check_alignment(resolver, DOMAIN, return_path=return_path, signers=[signer])
    assert [one.code for one in found] == expected
