"""The command line: parse, ask, show. Exit 0: pass (warnings included), 1: something fails, 2: could not be told."""

import argparse
import functools
import ipaddress
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dns.resolver

from dns_tools.bimi import check_bimi
from dns_tools.blocklists import Blocklist, check_addresses, check_domain, load_lists, parse_lists, probe
from dns_tools.dkim import record_name
from dns_tools.dkim_check import check_dkim, record_of
from dns_tools.dmarc.check import check_alignment, check_dmarc
from dns_tools.dnssec import check_dnssec
from dns_tools.exchange import check_dane, check_mx
from dns_tools.findings import EXIT_CODES, Finding, worst
from dns_tools.historical import check_historical
from dns_tools.lookup import PARALLEL_QUESTIONS, is_domain, make_resolver, with_cache
from dns_tools.message import MAX_MESSAGE_BYTES, Envelope, check_message, spf_finding
from dns_tools.reverse import check_ptr
from dns_tools.servers import check_seen_by_all, check_servers
from dns_tools.spf import check_host
from dns_tools.spf.lint import check_spf
from dns_tools.table import render
from dns_tools.tags import RecordError
from dns_tools.transport import check_mta_sts, check_tls_rpt

COULD_NOT_TELL = 2
MAX_NETWORK_ADDRESSES = 256

Resolver = dns.resolver.Resolver
Topic = Callable[[Resolver, str], list[Finding]]

TOPICS: dict[str, Topic] = {
    "mx": check_mx,
    "dane": check_dane,
    "mta-sts": check_mta_sts,
    "tls-rpt": check_tls_rpt,
    "bimi": check_bimi,
    "dnssec": check_dnssec,
    "historical": check_historical,
    "servers": check_servers,
}
"""Commands that take a domain and nothing else. The last asks servers by their own addresses and is no part of `check`."""


class UsageError(Exception):
    """What was typed cannot be checked; the text says why."""


def main(arguments: Sequence[str]) -> int:
    try:
        options = make_parser().parse_args(arguments)
        resolver = with_cache(make_resolver(options.resolver, lifetime_seconds=options.timeout))
        findings = options.run(resolver, options)
    except (UsageError, RecordError, ValueError, OSError) as error:
        sys.stderr.write(f"dns_tools: {error}\n")
        return COULD_NOT_TELL
    except dns.resolver.NoResolverConfiguration:
        sys.stderr.write("dns_tools: this system has no name server configured; name one with --resolver HOST:PORT\n")
        return COULD_NOT_TELL
    try:
        show(findings, options)
        sys.stdout.flush()
    except BrokenPipeError:  # Whoever read has had enough (`| head`); the verdict stays.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return EXIT_CODES[worst(findings)]


def show(findings: Sequence[Finding], options: argparse.Namespace) -> None:
    if options.json:
        document = {"status": worst(findings).value, "findings": [found.as_dict() for found in findings]}
        sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")
        return
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    width = shutil.get_terminal_size((100, 24)).columns
    text = render(findings, language=options.language, width=width, colour=colour, verbose=options.verbose)
    sys.stdout.write(text)


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m dns_tools", description="Checks what the DNS says of a mail domain."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_domain_commands(commands)
    _add_other_commands(commands)
    return parser


def _add_domain_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    check = _command(commands, "check", run_check, "everything about a sending domain", "domain", "ips")
    check.add_argument("--selector", action="append", default=[], help="DKIM selector; may be given again")
    _private_key(check)
    spf = _command(commands, "spf", run_spf, "the SPF record, or whether one client may send", "domain", "ips")
    spf.add_argument("--ip", help="check_host() for this client")
    spf.add_argument("--sender", default="", help="address of MAIL FROM")
    spf.add_argument("--helo", default="", help="name of HELO")
    dkim = _command(commands, "dkim", run_dkim, "a published DKIM key", "domain")
    dkim.add_argument("--selector", action="append", required=True)
    dkim.add_argument("--every-server", action="store_true", help="ask each name server for the private key's record")
    _private_key(dkim)
    dmarc = _command(commands, "dmarc", run_dmarc, "the DMARC record, and what would align with it", "domain")
    dmarc.add_argument("--return-path", type=_domain, metavar="DOMAIN", help="of MAIL FROM")
    dmarc.add_argument(
        "--signer", type=_domain, action="append", default=[], metavar="DOMAIN", help="d= of a signature"
    )
    for name in TOPICS:
        _command(commands, name, run_topic, f"{name} of a domain", "domain").set_defaults(topic=name)


def _add_other_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    ptr = _command(commands, "ptr", run_ptr, "reverse DNS of addresses", "addresses", "ips")
    ptr.add_argument("--helo", default="", help="the name with which they greet")
    dnsbl = _command(commands, "dnsbl", run_dnsbl, "lists of addresses and domains", "addresses", "ips")
    dnsbl.add_argument("--lists", type=Path, help="a TOML file of lists instead of the shipped one")
    dnsbl.add_argument("--probe", action="store_true", help="check the lists themselves")
    verify = _command(commands, "verify", run_verify, "the signatures of a message, SPF and DMARC")
    verify.add_argument("message", type=Path, help="a file of the message as received; - for standard input")
    verify.add_argument("--ip", help="the client that delivered it")
    verify.add_argument("--helo", default="", help="the name with which the client greeted")
    verify.add_argument("--mail-from", default="", help="the envelope's sender")


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    run: Callable[[Resolver, argparse.Namespace], list[Finding]],
    summary: str,
    *takes: str,
) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=summary, description=f"Checks {summary}.")
    command.set_defaults(run=run)
    command.add_argument("--resolver", metavar="HOST:PORT", help="name server to ask instead of the system's")
    command.add_argument("--timeout", type=float, default=6.0, metavar="SECONDS", help="for each question")
    command.add_argument("--json", action="store_true")
    command.add_argument("--verbose", action="store_true", help="evidence of what passes too")
    command.add_argument("--language", choices=("es", "en"), default=_language())
    if "domain" in takes:
        command.add_argument("domain", type=_domain)
    if "addresses" in takes:
        command.add_argument("addresses", nargs="*", metavar="ADDRESS")
    if "ips" in takes:
        command.add_argument("--ips", type=Path, metavar="FILE", help="sending addresses, a line each: ADDRESS [HELO]")
    return command


def _private_key(command: argparse.ArgumentParser) -> None:
    command.add_argument("--private-key", type=Path, metavar="PEM", help="the key that signs, to be held against it")


def _language() -> str:
    spoken = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG", "")
    return "en" if spoken.startswith("en") else "es"


def _domain(text: str) -> str:
    if not is_domain(text):
        raise argparse.ArgumentTypeError(f"no domain: {text[:80]!r}")
    return text.removesuffix(".")


def read_addresses(path: Path) -> list[tuple[str, str]]:
    """(address, HELO name or nothing) of each line; `#` begins a comment, a network stands for its hosts."""
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        words = line.partition("#")[0].split()
        try:
            if words:
                found += [(address, words[1] if len(words) > 1 else "") for address in _addresses(words[0])]
        except ValueError as error:
            raise UsageError(f"{path}, line {number}: {error}") from error
    return found


def _addresses(text: str) -> Iterator[str]:
    network = ipaddress.ip_network(text, strict=False)
    if network.num_addresses > MAX_NETWORK_ADDRESSES:
        raise ValueError(f"{text} has more than {MAX_NETWORK_ADDRESSES} addresses")
    if "/" in text:
        yield from (str(address) for address in network.hosts())
    else:
        yield str(network.network_address)


def run_check(resolver: Resolver, options: argparse.Namespace) -> list[Finding]:
    """All at the same time, so that a resolver that does not answer costs its silence once and not twenty times."""
    pairs = read_addresses(options.ips) if options.ips else []
    ips, domain = [ip for ip, _ in pairs], options.domain
    parts: list[Callable[[], list[Finding]]] = [
        lambda: check_spf(resolver, domain, ips),
        lambda: run_dkim(resolver, options),
        lambda: check_dmarc(resolver, domain),
        *(functools.partial(topic, resolver, domain) for name, topic in TOPICS.items() if name != "servers"),
        lambda: check_domain(resolver, domain),
        lambda: _pointers(resolver, pairs),
        lambda: check_addresses(resolver, ips),
    ]
    with ThreadPoolExecutor(PARALLEL_QUESTIONS) as threads:
        return [found for findings in threads.map(lambda part: part(), parts) for found in findings]


def run_spf(resolver: Resolver, options: argparse.Namespace) -> list[Finding]:
    if options.ip:
        sender = options.sender or f"postmaster@{options.domain}"
        return [spf_finding(check_host(options.ip, options.domain, sender, options.helo, resolver=resolver))]
    ips = [ip for ip, _ in read_addresses(options.ips)] if options.ips else []
    return check_spf(resolver, options.domain, ips)


def run_dkim(resolver: Resolver, options: argparse.Namespace) -> list[Finding]:
    private_key = options.private_key.read_bytes() if options.private_key else None
    found: list[Finding] = []
    for selector in options.selector:
        found += check_dkim(resolver, options.domain, selector, private_key=private_key)
        if getattr(options, "every_server", False):
            if private_key is None:
                raise UsageError("--every-server needs --private-key")
            found += check_seen_by_all(resolver, record_name(options.domain, selector), record_of(private_key))
    return found


def run_dmarc(resolver: Resolver, options: argparse.Namespace) -> list[Finding]:
    found = check_dmarc(resolver, options.domain)
    return found + check_alignment(
        resolver, options.domain, return_path=options.return_path or "", signers=options.signer
    )


def run_ptr(resolver: Resolver, options: argparse.Namespace) -> list[Finding]:
    pairs = [(str(ipaddress.ip_address(text)), "") for text in options.addresses]
    pairs += read_addresses(options.ips) if options.ips else []
    if not pairs:
        raise UsageError("no address given")
    return _pointers(resolver, [(ip, helo or options.helo) for ip, helo in pairs])


def _pointers(resolver: Resolver, pairs: Sequence[tuple[str, str]]) -> list[Finding]:
    with ThreadPoolExecutor(PARALLEL_QUESTIONS) as threads:
        results = threads.map(lambda pair: check_ptr(resolver, pair[0], helo=pair[1]), pairs)
        return [found for findings in results for found in findings]


def run_dnsbl(resolver: Resolver, options: argparse.Namespace) -> list[Finding]:
    lists = _lists(options.lists)
    if options.probe:
        return [probe(resolver, entry) for entry in lists]
    domains = [text for text in options.addresses if not _is_address(text)]
    ips = [text for text in options.addresses if _is_address(text)]
    ips += [ip for ip, _ in read_addresses(options.ips)] if options.ips else []
    wrong = [text for text in domains if not is_domain(text)]
    if wrong or not (domains or ips):
        raise UsageError(
            f"neither address nor domain: {wrong[0][:80]!r}" if wrong else "no address and no domain given"
        )
    found = check_addresses(resolver, ips, lists)
    return [*found, *(one for domain in domains for one in check_domain(resolver, domain, lists))]


def _lists(path: Path | None) -> tuple[Blocklist, ...]:
    if path is None:
        return load_lists()
    try:
        return parse_lists(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from error


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def run_verify(resolver: Resolver, options: argparse.Namespace) -> list[Finding]:
    envelope = Envelope(ip=options.ip, helo=options.helo, mail_from=options.mail_from) if options.ip else None
    if str(options.message) == "-":
        raw = sys.stdin.buffer.read(MAX_MESSAGE_BYTES + 1)
    else:
        with options.message.open("rb") as file:
            raw = file.read(MAX_MESSAGE_BYTES + 1)
    if len(raw) > MAX_MESSAGE_BYTES:
        raise UsageError(f"the message is larger than {MAX_MESSAGE_BYTES} octets")
    return check_message(raw, resolver, envelope)


def run_topic(resolver: Resolver, options: argparse.Namespace) -> list[Finding]:
    return TOPICS[options.topic](resolver, options.domain)
