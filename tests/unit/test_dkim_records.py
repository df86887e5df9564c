"""DKIM key records: built, parsed, and checked against a name server that answers over UDP."""

import socketserver
import threading

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.resolver
import dns.rrset
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.mail.dkim import KeyKind, generate_key
from dns_tools import dkim
from dns_tools.dkim import KeyStatus

DOMAIN = "boletin.example.gob.pe"
KEY = generate_key(KeyKind.RSA).public_record
OTHER = generate_key(KeyKind.RSA).public_record


class NameServer(socketserver.ThreadingUDPServer):
    """Answers MX questions from `mx`, TXT ones from `zone` (name -> texts, `[]` an empty answer); SERVFAIL for `broken`,
    silence for `mute`."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.zone = {}
        self.mx = {}
        self.broken = False
        self.mute = False
        self.asked = []

    def resolver(self):
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers = ["127.0.0.1"]
        resolver.port = self.server_address[1]
        resolver.lifetime = resolver.timeout = 1.0
        return resolver


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        wire, sock = self.request
        query = dns.message.from_wire(wire)
        name = query.question[0].name
        self.server.asked.append(str(name))
        if self.server.mute:
            return
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.AA
        asks_mx = query.question[0].rdtype == dns.rdatatype.MX
        texts = (self.server.mx if asks_mx else self.server.zone).get(str(name).rstrip("."))
        if self.server.broken:
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif texts is None:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif texts and asks_mx:
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", "MX", *texts))
        elif texts:
            quoted = [dkim.zone_line("x", text).partition("TXT ")[2].strip("( )") for text in texts]
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", "TXT", *quoted))
        sock.sendto(answer.to_wire(max_size=4096), self.client_address)


@pytest.fixture
def server():
    with NameServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def check(server, published, expected=KEY):
    server.zone = {f"s1._domainkey.{DOMAIN}": published} if published is not None else {}
    return dkim.check_published_key(server.resolver(), DOMAIN, "s1", expected=expected)


def test_the_published_key_matches(server):
    found = check(server, [KEY])
    assert found.ok
    assert found.name == f"s1._domainkey.{DOMAIN}"
    assert server.asked == [f"s1._domainkey.{DOMAIN}."]


def test_a_long_record_is_cut_and_joined_again(server):
    assert len(KEY) > 255
    assert check(server, [KEY]).found == (KEY,)


def test_blanks_order_and_hash_tags_do_not_matter(server):
    assert check(server, [KEY.replace("; ", " ;\t ").replace("k=rsa", "h=sha1:sha256; k=rsa; n=a note") + ";"]).ok


@pytest.mark.parametrize(
    ("published", "status"),
    [
        (None, KeyStatus.MISSING),
        ([], KeyStatus.MISSING),
        ([OTHER], KeyStatus.DIFFERENT),
        ([KEY, OTHER], KeyStatus.SEVERAL),
        ([KEY, "v=spf1 -all"], KeyStatus.SEVERAL),
        (["v=DKIM1; p="], KeyStatus.REVOKED),
        (["hello"], KeyStatus.UNREADABLE),
        (["v=DKIM2; " + KEY.partition("; ")[2]], KeyStatus.UNREADABLE),
        ([KEY.replace("p=", "p=!!")], KeyStatus.UNREADABLE),
        ([KEY[:-40]], KeyStatus.UNREADABLE),
        (["v=DKIM1; p=" + "A" * 3000], KeyStatus.UNREADABLE),
        ([KEY + "; s=other"], KeyStatus.UNUSABLE),
        ([KEY + "; h=sha1"], KeyStatus.UNUSABLE),
    ],
)
def test_what_is_wrong_is_named(server, published, status):
    assert check(server, published).status is status


def test_test_mode_is_noticed(server):
    found = check(server, [KEY + "; t=y:s"])
    assert found.ok
    assert found.testing


def test_broken_name_servers_say_nothing_about_the_record(server):
    server.broken = True
    assert check(server, [KEY]).status is KeyStatus.UNREACHABLE


def test_silence_ends_after_the_resolvers_time(server):
    server.mute = True
    found = check(server, [KEY])
    assert found.status is KeyStatus.UNREACHABLE
    assert found.detail == "timeout"


def test_ed25519_keys_are_the_bare_octets():
    record = dkim.parse_record(generate_key(KeyKind.ED25519).public_record)
    assert record.key_type == "ed25519"
    assert len(record.public_key) == 32
    with pytest.raises(dkim.RecordError, match="key"):
        dkim.parse_record("v=DKIM1; k=ed25519; p=AAAA")


def test_short_rsa_keys_are_refused():
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    der = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert dkim.parse_record(dkim.build_record(der)).public_key == der
    for short in (512, 768):
        with pytest.raises(dkim.RecordError, match="key_too_short"):
            dkim.parse_record(dkim.build_record(_rsa_public_key(short)))


def _rsa_public_key(bits: int) -> bytes:
    """OpenSSL makes no key this short any more, but reads one."""
    numbers = rsa.RSAPublicNumbers(65537, (1 << (bits - 1)) + 0x10001)
    return numbers.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("v=DKIM1; p=" + "A" * 5000, "too_long"),
        ("", "not_a_tag_list"),
        ("v=DKIM1", "no_key"),
        ("p=AAAA; v=DKIM1", "version"),
        ("v=DKIM1; p=AAAA; p=BBBB", "duplicate_tag"),
        ("v=DKIM1; k=dsa; p=AAAA", "key_type"),
        ("v=DKIM1; 1x=2; p=AAAA", "not_a_tag_list"),
        ("v=DKIM1; p=AAAA", "key"),
    ],
)
def test_broken_records_name_the_fault(text, code):
    with pytest.raises(dkim.RecordError) as refused:
        dkim.parse_record(text)
    assert refused.value.code == code


def test_what_is_built_is_what_the_mail_core_publishes():
    record = dkim.parse_record(KEY)
    assert dkim.build_record(record.public_key) == KEY


def test_a_zone_line_holds_strings_of_at_most_255_octets():
    line = dkim.zone_line("s1._domainkey.example.pe", KEY)
    pieces = line.split('"')[1::2]
    assert "".join(pieces) == KEY
    assert max(map(len, pieces)) == 255
