"""The command line, run as a process of its own against the name server."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import dkim as dkimpy
import pytest

from app.mail.dkim import KeyKind, generate_key
from dns_tools.command_line import UsageError, read_addresses

ROOT = Path(__file__).resolve().parents[2]
DOMAIN = "boletin.example.gob.pe"
IPS = [f"192.0.2.{last}" for last in range(1, 49)]
KEY = generate_key(KeyKind.RSA)


@pytest.fixture
def healthy(nameserver):
    """All of a domain that is right, with 48 sending addresses."""
    names = [f"mx{number}.{DOMAIN}" for number in range(1, 49)]
    pairs = list(zip(IPS, names, strict=True))
    zone = [f"{ip.split('.')[3]}.2.0.192.in-addr.arpa. PTR {name}.\n{name}. A {ip}" for ip, name in pairs]
    nameserver.load("\n".join([*zone, f"{DOMAIN}. MX 10 mx1.{DOMAIN}.", f"{DOMAIN}. A 192.0.2.1"]))
    nameserver.txt(DOMAIN, "v=spf1 ip4:192.0.2.0/26 -all")
    nameserver.txt(f"_dmarc.{DOMAIN}", f"v=DMARC1; p=reject; rua=mailto:dmarc@{DOMAIN}")
    nameserver.txt(f"s1._domainkey.{DOMAIN}", KEY.public_record)
    return nameserver


@pytest.fixture
def ips_file(tmp_path):
    path = tmp_path / "ips.txt"
    lines = [f"{ip} mx{number}.{DOMAIN}" for number, ip in enumerate(IPS, 1)]
    path.write_text("# direcciones de envío\n\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return path


def run(nameserver, *arguments, stdin=b"", resolver=True, **environment):
    where = ["--resolver", f"127.0.0.1:{nameserver.port}", "--timeout", "1"] if resolver else []
    return subprocess.run(
        [sys.executable, "-m", "dns_tools", *map(str, arguments), *where],
        input=stdin,
        cwd=ROOT,
        capture_output=True,
        timeout=60,
        check=False,
        env={**os.environ, "LANG": "es_PE.UTF-8", "LC_ALL": "", "PYTHONIOENCODING": "utf-8", **environment},
    )


def test_a_healthy_domain_with_48_addresses_passes(healthy, ips_file, tmp_path):
    pem = tmp_path / "key.pem"
    pem.write_bytes(KEY.private_pem)
    found = run(healthy, "check", DOMAIN, "--ips", ips_file, "--selector", "s1", "--private-key", pem)
    text = " ".join(found.stdout.decode().split())
    assert (found.returncode, found.stderr) == (0, b""), text
    assert "El registro autoriza 48 de las 48 direcciones de envío." in text
    assert "La clave publicada es la de la clave privada que firma." in text
    assert "192.0.2.1 (+47) BIEN El nombre mx1.boletin.example.gob.pe lleva de vuelta a la dirección." in text
    assert text.endswith("Resultado: BIEN")
    verbose = " ".join(run(healthy, "ptr", "--ips", ips_file, "--verbose").stdout.decode().split())
    assert verbose.count("lleva de vuelta a la dirección") == 48


def test_one_wrong_address_fails_the_check(healthy, ips_file):
    ips_file.write_text(ips_file.read_text(encoding="utf-8") + "198.51.100.9\n", encoding="utf-8")
    found = run(healthy, "check", DOMAIN, "--ips", ips_file)
    assert found.returncode == 1
    assert "198.51.100.9: fail -all" in found.stdout.decode()


def test_silence_is_not_a_verdict(nameserver):
    nameserver.silent.add(DOMAIN)
    found = run(nameserver, "spf", DOMAIN)
    assert (found.returncode, b"NO SE SABE" in found.stdout) == (2, True)


def test_a_resolver_that_never_answers_does_not_hold_the_whole_check(nameserver, ips_file):
    nameserver.deaf = True
    started = time.monotonic()
    found = run(nameserver, "check", DOMAIN, "--selector", "s1")
    assert time.monotonic() - started < 25
    assert (found.returncode, b"FALLA" in found.stdout) == (2, False)


def test_whoever_reads_may_stop_reading(healthy, ips_file):
    command = [sys.executable, "-m", "dns_tools", "ptr", "--ips", str(ips_file), "--verbose", "--json"]
    command += ["--resolver", f"127.0.0.1:{healthy.port}"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert (process.stderr.read(), process.wait(30)) == (b"", 0)


def test_json_tells_everything(healthy):
    found = run(healthy, "spf", DOMAIN, "--json")
    document = json.loads(found.stdout)
    assert (found.returncode, document["status"]) == (0, "pass")
    first = document["findings"][0]
    assert set(first) == {"code", "subject", "status", "explanation", "evidence", "publish"}
    assert set(first["explanation"]) == {"es", "en"}
    assert f"@127.0.0.1:{healthy.port}" in first["evidence"][0]


@pytest.mark.parametrize("ip, code", [("192.0.2.7", 0), ("198.51.100.7", 1)])
def test_one_client_is_checked_as_a_receiver_would(healthy, ip, code):
    assert (
        run(healthy, "spf", DOMAIN, "--ip", ip, "--sender", f"a@{DOMAIN}", "--helo", f"mx1.{DOMAIN}").returncode == code
    )


@pytest.mark.parametrize(
    "arguments, code",
    [
        (("dkim", DOMAIN, "--selector", "s1"), 0),
        (("dkim", DOMAIN, "--selector", "s2"), 1),
        (("dmarc", DOMAIN), 0),
        (("dmarc", "example.org"), 1),
        (("dmarc", DOMAIN, "--return-path", f"r.{DOMAIN}", "--signer", DOMAIN), 0),
        (("dmarc", DOMAIN, "--signer", "example.net"), 1),
        (("ptr", "192.0.2.5", "--helo", f"mx5.{DOMAIN}"), 0),
        (("ptr", "192.0.2.5", "192.0.2.99"), 1),
        (("dnsbl", "192.0.2.5", DOMAIN), 0),
        (("dnsbl", "192.0.2.66"), 1),
        (("dnsbl", "192.0.2.67"), 2),
        (("dnsbl", "--probe"), 2),
        (("mx", DOMAIN), 0),
        (("mx", "nothing.example.pe"), 1),
        (("dane", DOMAIN), 0),
        (("mta-sts", DOMAIN), 0),
        (("tls-rpt", DOMAIN), 0),
        (("bimi", DOMAIN), 0),
        (("dnssec", DOMAIN), 0),
        (("historical", DOMAIN), 0),
    ],
)
def test_every_command_exits_with_its_verdict(healthy, arguments, code):
    healthy.load("66.2.0.192.zen.spamhaus.org. A 127.0.0.2\n67.2.0.192.zen.spamhaus.org. A 127.255.255.254")
    found = run(healthy, *arguments)
    assert (found.returncode, found.stderr) == (code, b""), found.stdout.decode()


def test_a_message_is_verified_from_a_file_and_from_standard_input(healthy, tmp_path):
    raw = f"From: aviso@{DOMAIN}\r\nTo: rosa@example.pe\r\nSubject: Aviso\r\n\r\nHola.\r\n".encode()
    raw = dkimpy.sign(raw, b"s1", DOMAIN.encode(), KEY.private_pem, include_headers=[b"from", b"to", b"subject"]) + raw
    path = tmp_path / "message.eml"
    path.write_bytes(raw)
    assert run(healthy, "verify", path).returncode == 0
    assert run(healthy, "verify", "-", stdin=raw.replace(b"Hola", b"Chao")).returncode == 1
    envelope = ("--ip", "192.0.2.9", "--helo", f"mx9.{DOMAIN}", "--mail-from", f"b@{DOMAIN}")
    found = run(healthy, "verify", path, *envelope, "--language", "en")
    assert "SPF result: pass (ip4:192.0.2.0/26)." in found.stdout.decode()
    healthy.servfail.add(f"s1._domainkey.{DOMAIN}")
    assert run(healthy, "verify", path).returncode == 2


def test_records_to_publish_are_shown_as_zone_lines(nameserver):
    found = run(nameserver, "dmarc", DOMAIN, "--language", "en")
    assert f'Publish: _dmarc.{DOMAIN}. IN TXT "v=DMARC1; p=none; rua=mailto:dmarc@{DOMAIN}"' in found.stdout.decode()


def test_the_language_follows_the_environment(nameserver):
    assert "Result: FAIL" in run(nameserver, "mx", DOMAIN, LANG="en_US.UTF-8").stdout.decode()


def test_answers_cannot_command_the_terminal(nameserver):
    nameserver.txt(DOMAIN, "v=spf1 \x1b[2Ja:x\x07 -all")
    found = run(nameserver, "spf", DOMAIN)
    assert found.returncode == 1
    assert b"\x1b" not in found.stdout
    assert b"\x07" not in found.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("check",),
        ("check", "localhost"),
        ("nonsense", DOMAIN),
        ("spf", DOMAIN, "--resolver", "no-address:53"),
        ("spf", DOMAIN, "--ip", "no-address"),
        ("spf", DOMAIN, "--ips", "/nonexistent"),
        ("dkim", DOMAIN),
        ("ptr",),
        ("ptr", "no-address"),
        ("dnsbl",),
        ("dnsbl", "nonsense"),
        ("verify", "/nonexistent"),
    ],
)
def test_what_cannot_be_checked_exits_with_2_and_says_why(nameserver, arguments):
    found = run(nameserver, *arguments, resolver=False)
    assert found.returncode == 2
    assert found.stderr
    assert b"Traceback" not in found.stderr


def test_lists_of_addresses(tmp_path):
    path = tmp_path / "ips"
    path.write_text("192.0.2.0/30\n2001:db8::1 mx.example.pe # eins\n", encoding="utf-8")
    assert read_addresses(path) == [("192.0.2.1", ""), ("192.0.2.2", ""), ("2001:db8::1", "mx.example.pe")]
    path.write_text("192.0.2.1\n192.0.2.300\n", encoding="utf-8")
    with pytest.raises(UsageError, match="line 2"):
        read_addresses(path)
    path.write_text("10.0.0.0/8\n", encoding="utf-8")
    with pytest.raises(UsageError, match="more than 256"):
        read_addresses(path)
