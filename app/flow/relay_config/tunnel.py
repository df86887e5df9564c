"""strongSwan's configuration of both ends of the tunnel between platform and relay (E14).

Only what goes to the relay's submission port passes through it. The mail that the relay sends on takes its own way, from
the IP that the platform chose: the tunnel changes no source address.
"""

from ipaddress import ip_address
from typing import Protocol

from app.flow.relay_config.plan import RelayPlan, TunnelEnds

CONNECTION = "chaski-relay"
CHILD = "chaski-submission"


class Template(Protocol):
    def __call__(self, name: str, plan: RelayPlan, **more: object) -> str: ...


def render_tunnel(plan: RelayPlan, template: Template) -> dict[str, str]:
    """``ipsec/platform/`` and ``ipsec/relay/``; nothing where no tunnel was asked for."""
    ends = plan.choices.tunnel
    if ends is None:
        return {}
    return {
        f"ipsec/{side}/{CONNECTION}.conf": template("strongswan/swanctl.conf", plan, ends=ends, end=end)
        for side, end in (("platform", _platform_end(ends, plan.port)), ("relay", _relay_end(ends, plan.port)))
    }


def _platform_end(ends: TunnelEnds, port: int) -> dict[str, str]:
    return {
        "connection": CONNECTION,
        "child": CHILD,
        "local_address": ends.platform_address,
        "remote_address": ends.relay_address,
        "local_id": ends.platform_id,
        "remote_id": ends.relay_id,
        "local_selector": f"{_host(ends.platform_address)}[tcp]",
        "remote_selector": f"{_host(ends.relay_address)}[tcp/{port}]",
        "certificate": "chaski-platform.pem",
    }


def _relay_end(ends: TunnelEnds, port: int) -> dict[str, str]:
    return {
        "connection": CONNECTION,
        "child": CHILD,
        "local_address": ends.relay_address,
        "remote_address": ends.platform_address,
        "local_id": ends.relay_id,
        "remote_id": ends.platform_id,
        "local_selector": f"{_host(ends.relay_address)}[tcp/{port}]",
        "remote_selector": f"{_host(ends.platform_address)}[tcp]",
        "certificate": "chaski-relay.pem",
    }


def _host(address: str) -> str:
    parsed = ip_address(address)
    return f"{address}/{parsed.max_prefixlen}"
