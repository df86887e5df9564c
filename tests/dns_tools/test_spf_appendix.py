"""SPF: every example of RFC 7208's Appendix A, zone and all."""

import pytest

from tests.dns_tools.spf_cases import outcome

ZONE = """
example.com. MX 10 mail-a.example.com.
example.com. MX 20 mail-b.example.com.
example.com. A 192.0.2.10
example.com. A 192.0.2.11
amy.example.com. A 192.0.2.65
bob.example.com. A 192.0.2.66
mail-a.example.com. A 192.0.2.129
mail-b.example.com. A 192.0.2.130
www.example.com. CNAME example.com.
example.org. MX 10 mail-c.example.org.
mail-c.example.org. A 192.0.2.140
10.2.0.192.in-addr.arpa. PTR example.com.
11.2.0.192.in-addr.arpa. PTR example.com.
65.2.0.192.in-addr.arpa. PTR amy.example.com.
66.2.0.192.in-addr.arpa. PTR bob.example.com.
129.2.0.192.in-addr.arpa. PTR mail-a.example.com.
130.2.0.192.in-addr.arpa. PTR mail-b.example.com.
140.2.0.192.in-addr.arpa. PTR mail-c.example.org.
4.0.0.10.in-addr.arpa. PTR bob.example.com.
"""
ALL = {f"192.0.2.{last}" for last in (10, 11, 65, 66, 129, 130, 131, 140, 143, 144)} | {"10.0.0.4", "203.0.113.5"}


def passing(nameserver, sender="a@example.com"):
    return {int(ip.rpartition(".")[2]) for ip in ALL if outcome(nameserver, ip=ip, sender=sender).result == "pass"}


@pytest.mark.parametrize(
    "record, expected",
    [
        ("v=spf1 a -all", {10, 11}),
        ("v=spf1 a:example.org -all", set()),
        ("v=spf1 mx -all", {129, 130}),
        ("v=spf1 mx:example.org -all", {140}),
        ("v=spf1 mx mx:example.org -all", {129, 130, 140}),
        ("v=spf1 mx/30 mx:example.org/30 -all", {129, 130, 131, 140, 143}),
        ("v=spf1 ptr -all", {10, 11, 65, 66, 129, 130}),
        ("v=spf1 ip4:192.0.2.128/28 -all", {129, 130, 131, 140, 143}),
    ],
)
def test_a1_simple_examples(nameserver, record, expected):
    nameserver.load(ZONE).txt("example.com", record)
    assert passing(nameserver) == expected


def test_a1_plus_all_lets_anyone_pass(nameserver):
    nameserver.load(ZONE).txt("example.com", "v=spf1 +all")
    assert len(passing(nameserver)) == len(ALL)


def test_a2_multiple_domains(nameserver):
    nameserver.load(ZONE).txt("example.com", "v=spf1 a -all").txt("example.net", "v=spf1 ip4:192.0.2.144 -all")
    nameserver.txt("example.org", "v=spf1 include:example.com include:example.net -all")
    nameserver.txt("la.example.org", "v=spf1 redirect=example.org")
    assert passing(nameserver, "a@example.org") == {10, 11, 144}
    assert passing(nameserver, "a@la.example.org") == {10, 11, 144}
    assert outcome(nameserver, ip="203.0.113.5", sender="a@la.example.org").result == "fail"


def test_a3_dnsbl_style(nameserver):
    nameserver.load(ZONE).txt(
        "example.com", "v=spf1 mx include:mobile-users._spf.%{d} include:remote-users._spf.%{d} -all"
    )
    nameserver.txt("mobile-users._spf.example.com", "v=spf1 exists:%{l1r+}.%{d}")
    nameserver.txt("remote-users._spf.example.com", "v=spf1 exists:%{ir}.%{l1r+}.%{d}")
    nameserver.load(
        """
        mary.mobile-users._spf.example.com. A 127.0.0.2
        fred.mobile-users._spf.example.com. A 127.0.0.2
        15.15.168.192.joel.remote-users._spf.example.com. A 127.0.0.2
        16.15.168.192.joel.remote-users._spf.example.com. A 127.0.0.2
        """.replace("        ", "")
    )

    def asked(ip, local):
        return outcome(nameserver, ip=ip, sender=f"{local}@example.com").result

    assert asked("203.0.113.5", "mary") == "pass"
    assert asked("203.0.113.5", "mary+lists") == "pass"
    assert asked("203.0.113.5", "joel") == "fail"
    assert asked("192.168.15.15", "joel+work") == "pass"
    assert asked("192.168.15.17", "joel") == "fail"
    assert asked("192.0.2.129", "anyone") == "pass"


def test_a4_multiple_requirements(nameserver):
    nameserver.load(ZONE).txt("example.com", "v=spf1 -include:ip4._spf.%{d} -include:ptr._spf.%{d} +all")
    nameserver.txt("ip4._spf.example.com", "v=spf1 -ip4:192.0.2.0/24 +all")
    nameserver.txt("ptr._spf.example.com", "v=spf1 -ptr:example.com +all")
    assert passing(nameserver) == {10, 11, 65, 66, 129, 130}


@pytest.mark.parametrize("ip, expected", [("192.0.2.140", "fail"), ("10.0.0.4", "fail"), ("192.0.2.65", "pass")])
def test_a1_ptr_as_the_text_tells_it(nameserver, ip, expected):
    nameserver.load(ZONE).txt("example.com", "v=spf1 ptr -all")
    assert outcome(nameserver, ip=ip).result == expected
