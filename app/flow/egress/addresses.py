"""What a source address and its HELO name may look like. Pure."""

from ipaddress import IPv4Address, IPv6Address, ip_address

from app.flow.egress.problems import EgressProblem
from app.mail.addresses import domain_to_ascii

IpAddress = IPv4Address | IPv6Address
MAX_WEIGHT = 1000
MAX_RATE_PER_HOUR = 100_000_000


def checked_address(typed: str) -> str:
    """``typed`` as ``ipaddress`` writes it; an IPv4 address written as IPv6 (``::ffff:…``) is the IPv4 one.
    Raises ``address_invalid``, ``address_unusable``."""
    address = parsed_address(typed)
    # Nothing can be sent from these; loopback and private ones can, behind a NAT or in a test.
    if address.is_unspecified or address.is_multicast or address == IPv4Address("255.255.255.255"):
        raise EgressProblem("address_unusable")
    return str(address)


def parsed_address(typed: str) -> IpAddress:
    """Raises ``address_invalid``."""
    try:
        address = ip_address(typed.strip())
    except ValueError:
        raise EgressProblem("address_invalid") from None
    if isinstance(address, IPv6Address):
        if address.scope_id:  # Names an interface of one machine.
            raise EgressProblem("address_invalid")
        return address.ipv4_mapped or address
    return address


def checked_helo(typed: str) -> str:
    """A host name in lower case and A-labels (RFC 5321 §4.1.1.1). Raises ``helo_invalid``."""
    name = domain_to_ascii(typed.strip().removesuffix("."))
    if name is None:
        raise EgressProblem("helo_invalid")
    return name


def checked_weight(weight: int) -> int:
    """Raises ``weight_invalid``."""
    if not 1 <= weight <= MAX_WEIGHT:
        raise EgressProblem("weight_invalid")
    return weight


def checked_rate(rate_per_hour: int | None) -> int | None:
    """None: without limit. Raises ``rate_invalid``."""
    if rate_per_hour is not None and not 1 <= rate_per_hour <= MAX_RATE_PER_HOUR:
        raise EgressProblem("rate_invalid")
    return rate_per_hour
