"""Is the tunnel down, or the relay behind it? The probe alone sees the same in both: nobody answers."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from enum import StrEnum

from app.flow.relay_config.security_associations import parse_associations
from app.flow.relay_config.tunnel import CHILD, CONNECTION
from app.flow.relay_probe import ProbeResult, ProbeStatus

SECONDS = 10
_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"
UNREACHED = frozenset({ProbeStatus.REFUSED, ProbeStatus.TIMED_OUT, ProbeStatus.UNKNOWN_HOST})


class TunnelState(StrEnum):
    UP = "up"
    DOWN = "down"
    NOT_INSTALLED = "not_installed"  # No swanctl on this machine: the tunnel, if any, ends elsewhere.
    UNKNOWN = "unknown"  # swanctl could not ask: no permission, or charon does not run.


class PathHealth(StrEnum):
    OK = "ok"
    TUNNEL_DOWN = "tunnel_down"
    RELAY_DOWN = "relay_down"  # The tunnel is up, and the relay behind it does not answer.
    RELAY_REFUSES = "relay_refuses"  # It answers, but we can't submit: log-in, certificate, greeting.
    BYPASSED = "bypassed"  # The relay answers, and the tunnel is down: mail would go outside of it.
    UNREACHED = "unreached"  # Nobody answers, and nothing is known about a tunnel.


@dataclass(frozen=True, kw_only=True)
class TunnelReading:
    state: TunnelState
    detail: str = ""


def read_tunnel() -> TunnelReading:
    """Asks strongSwan on this machine."""
    program = shutil.which("swanctl", path=_PATH)
    if program is None:
        return TunnelReading(state=TunnelState.NOT_INSTALLED)
    try:
        ran = subprocess.run(
            [program, "--list-sas", "--raw", "--noblock"],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return TunnelReading(state=TunnelState.UNKNOWN, detail=str(error))
    if ran.returncode:
        return TunnelReading(state=TunnelState.UNKNOWN, detail=ran.stderr.strip()[-300:])
    return tunnel_of(ran.stdout)


def tunnel_of(raw: str) -> TunnelReading:
    """Of all SAs of our name one that is established and carries submissions is enough: half-open ones stand beside it
    while the other side reconnects."""
    ours = [one for one in parse_associations(raw) if one.connection == CONNECTION]
    if any(one.is_established and one.has_installed(CHILD) for one in ours):
        return TunnelReading(state=TunnelState.UP)
    states = [f"{one.state}: {', '.join(f'{name} {state}' for name, state in one.children) or '-'}" for one in ours]
    return TunnelReading(state=TunnelState.DOWN, detail="; ".join(states))


def path_health(tunnel: TunnelState, probe: ProbeResult) -> PathHealth:
    if probe.status not in UNREACHED:
        if tunnel is TunnelState.DOWN:
            return PathHealth.BYPASSED
        return PathHealth.OK if probe.ok else PathHealth.RELAY_REFUSES
    if tunnel is TunnelState.DOWN:
        return PathHealth.TUNNEL_DOWN
    return PathHealth.RELAY_DOWN if tunnel is TunnelState.UP else PathHealth.UNREACHED
