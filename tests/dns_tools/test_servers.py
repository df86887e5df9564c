"""Every name server of a zone by itself: three real ones, on three loopback addresses and one port."""

import subprocess
import sys
from pathlib import Path

import pytest

from app.mail.dkim import KeyKind, generate_key
from dns_tools.servers import check_seen_by_all, check_servers, zone_of
from tests.dns_tools.nameserver import NameServer

ROOT = Path(__file__).resolve().parents[2]
ZONE = "example.gob.pe"
DOMAIN = f"boletin.{ZONE}"
KEY = f"s2._domainkey.{DOMAIN}"
TEXT = "v=DKIM1; p=AAAA"


@pytest.fixture
def three(nameserver):
    others = []
    try:
        for last in (2, 3):
            others.append(NameServer(f"127.0.0.{last}", nameserver.port).start())
        servers = [nameserver, *others]
        for server in servers:
            server.load("\n".join(f"{ZONE}. NS ns{n}.{ZONE}.\nns{n}.{ZONE}. A 127.0.0.{n}" for n in (1, 2, 3)))
            server.soa(ZONE, 7)
        yield servers
    finally:
        for server in others:
            server.stop()


def codes(findings):
    return {found.code for found in findings}


def test_the_zone_is_found_from_a_name_below_it(three):
    zone, lookup = zone_of(three[0].resolver(), KEY)
    assert (zone, len(lookup.records)) == (ZONE, 3)


def test_servers_that_agree_pass(three):
    assert codes(check_servers(three[0].resolver(), DOMAIN)) == {"servers.agree"}
    assert all(server.asked for server in three)


def test_servers_that_differ_fail_or_know_nothing_are_told(three):
    three[1].soa(ZONE, 8)
    assert codes(check_servers(three[0].resolver(), DOMAIN)) == {"servers.serials_differ"}
    three[1].silent.add(ZONE)
    three[2].lame = True
    assert codes(check_servers(three[0].resolver(), DOMAIN)) == {"servers.silent", "servers.lame", "servers.agree"}


def test_a_single_server_is_told(nameserver):
    nameserver.load(f"{ZONE}. NS ns1.{ZONE}.\nns1.{ZONE}. A 127.0.0.1").soa(ZONE, 1)
    assert codes(check_servers(nameserver.resolver(), DOMAIN)) == {"servers.agree", "servers.single"}


def test_a_zone_without_reachable_servers_is_an_open_question(nameserver):
    assert codes(check_servers(nameserver.resolver(), DOMAIN)) == {"servers.unknown"}


def test_a_record_is_out_only_when_every_server_has_it(three):
    resolver = three[0].resolver()
    assert codes(check_seen_by_all(resolver, KEY, TEXT)) == {"servers.not_yet"}
    three[0].txt(KEY, TEXT)
    three[1].txt(KEY, TEXT)
    (found,) = check_seen_by_all(resolver, KEY, TEXT)
    assert (found.code, found.values["count"], found.values["total"]) == ("servers.not_yet", 2, 3)
    three[2].txt(KEY, "v=DKIM1; p=BBBB")
    assert codes(check_seen_by_all(resolver, KEY, TEXT)) == {"servers.not_yet"}
    three[2].txt(KEY, TEXT)
    assert codes(check_seen_by_all(resolver, KEY, TEXT)) == {"servers.seen_by_all"}
    three[2].silent.add(KEY.lower())
    assert codes(check_seen_by_all(resolver, KEY, TEXT)) == {"servers.not_told"}


def test_the_command_line_waits_for_every_server(three, tmp_path):
    pair = generate_key(KeyKind.ED25519)
    path = tmp_path / "key.pem"
    path.write_bytes(pair.private_pem)
    command = [sys.executable, "-m", "dns_tools", "dkim", DOMAIN, "--selector", "s2", "--private-key", str(path)]
    command += ["--every-server", "--language", "en", "--resolver", f"127.0.0.1:{three[0].port}"]
    for server in three[:2]:
        server.txt(KEY, pair.public_record)
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False).stdout
    assert "Only 2 of 3 name servers have the record." in shown
    three[2].txt(KEY, pair.public_record)
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False).stdout
    assert "All 3 name servers have the record." in shown
