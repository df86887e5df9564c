"""What a relay is to be. Whatever gets past here can be written into a line of a configuration file as it is.

Postfix and strongSwan read line by line and know no quoting that would hold a newline, a brace or a blank back, so a
value either has the narrow form that its place needs, or nothing is rendered.
"""

import re
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from app.flow.problem import Problem
from app.models import RelaySecurity

LABEL = r"(?!-)[a-z0-9_-]{1,63}(?<!-)"
HOST_NAME = re.compile(rf"{LABEL}(?:\.{LABEL})+\Z")
"""A full name in lower case, as A-labels."""
FILE_PATH = re.compile(r"(?:/[A-Za-z0-9._-]+)+\Z")
USER_NAME = re.compile(r"[A-Za-z0-9._@+-]{1,120}\Z")
MAX_HOST_NAME = 253


class RelayConfigProblem(Problem):
    """``code``: ``no_ips``, ``address_invalid``, ``helo_invalid``, ``hostname_invalid``, ``username_invalid``,
    ``submitter_invalid``, ``listen_invalid``, ``path_invalid``, ``nobody_may_submit``, ``tunnel_incomplete``,
    ``tunnel_invalid``, ``directory_taken`` or ``postconf_failed``; ``value`` is what is wrong."""


@dataclass(frozen=True, kw_only=True)
class Egress:
    """One source address. ``number`` is its row's id, which is never used again: queued mail remembers ``smtp-<number>``,
    and must not meet another address under it."""

    number: int
    address: str
    helo_name: str
    pool_id: int
    pool_name: str
    is_quarantined: bool = False
    is_warming: bool = False

    @property
    def service(self) -> str:
        return f"smtp-{self.number}"

    @property
    def ip_version(self) -> int:
        return ip_address(self.address).version


@dataclass(frozen=True, kw_only=True)
class TunnelEnds:
    """The two ends of the IPsec tunnel. ``*_id`` is what each proves to be: a name in its certificate, or for a PSK."""

    platform_address: str
    relay_address: str
    platform_id: str
    relay_id: str
    uses_psk: bool = False


@dataclass(frozen=True, kw_only=True)
class RelayChoices:
    """What only the person who installs the relay knows; kept beside the rendered files, so that a later ``check`` or
    ``render`` need not be told again."""

    hostname: str = ""
    """Empty: the relay's host, or the HELO name of its first IP where that is an address."""
    submitters: tuple[str, ...] = ()
    """Networks that may submit without log-in."""
    listen: str = ""
    """Address at which submissions are taken; empty: all."""
    certificate: str = "/etc/ssl/chaski-relay/fullchain.pem"
    private_key: str = "/etc/ssl/chaski-relay/privkey.pem"
    install_dir: str = "/etc/postfix"
    tunnel: TunnelEnds | None = None


@dataclass(frozen=True, kw_only=True)
class RelayPlan:
    """Everything that a template needs; made by :func:`checked`."""

    name: str
    hostname: str
    port: int
    security: RelaySecurity
    username: str
    egress: tuple[Egress, ...]
    choices: RelayChoices


def checked(plan: RelayPlan) -> RelayPlan:
    """The same plan. Raises :class:`RelayConfigProblem` for the first value that can't stand in a file."""
    choices = plan.choices
    if not plan.egress:
        raise RelayConfigProblem("no_ips")
    for egress in plan.egress:
        _require_address(egress.address, "address_invalid")
        _require(is_host_name(egress.helo_name), "helo_invalid", egress.helo_name)
    _require(is_host_name(plan.hostname), "hostname_invalid", plan.hostname)
    _require(not plan.username or bool(USER_NAME.match(plan.username)), "username_invalid", plan.username)
    for path in (choices.certificate, choices.private_key, choices.install_dir):
        _require(bool(FILE_PATH.match(path)), "path_invalid", path)
    for network in choices.submitters:
        _require(_is_network(network), "submitter_invalid", network)
    if choices.listen:
        _require_address(choices.listen, "listen_invalid")
    if choices.tunnel is not None:
        _check_tunnel(choices.tunnel)
    # A relay that takes mail from nobody is no relay; one that takes it from all is never rendered.
    _require(bool(plan.username or choices.submitters), "nobody_may_submit", plan.name)
    return plan


def is_host_name(text: str) -> bool:
    return len(text) <= MAX_HOST_NAME and HOST_NAME.match(text) is not None


def one_line(text: str) -> str:
    """People's words (names of pools and relays) for a comment: nothing in them ends the line."""
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())


def postfix_network(text: str) -> str:
    """As ``mynetworks`` wants it: IPv6 in brackets."""
    network = ip_network(text)
    return f"[{network.network_address}]/{network.prefixlen}" if network.version == 6 else str(network)


def _check_tunnel(ends: TunnelEnds) -> None:
    for address in (ends.platform_address, ends.relay_address):
        _require_address(address, "tunnel_invalid")
    for identity in (ends.platform_id, ends.relay_id):
        _require(is_host_name(identity) or _is_address(identity), "tunnel_invalid", identity)
    versions = {ip_address(address).version for address in (ends.platform_address, ends.relay_address)}
    _require(len(versions) == 1, "tunnel_invalid", ends.relay_address)


def _is_network(text: str) -> bool:
    """A whole-internet network would be an open relay."""
    try:
        network = ip_network(text)
    except ValueError:
        return False
    return network.prefixlen >= (8 if network.version == 4 else 32)


def _is_address(text: str) -> bool:
    try:
        _require_address(text, "address_invalid")
    except RelayConfigProblem:
        return False
    return True


def _require_address(text: str, code: str) -> None:
    """One address of a machine, as ``ipaddress`` writes it: no zone (``%eth0``), no blanks, no leading zeros."""
    try:
        address = ip_address(text)
    except ValueError as error:
        raise RelayConfigProblem(code, value=text) from error
    usable = str(address) == text and "%" not in text and not (address.is_unspecified or address.is_multicast)
    _require(usable, code, text)


def _require(holds: bool, code: str, value: str) -> None:
    if not holds:
        raise RelayConfigProblem(code, value=value)
