"""Whose request it is. ``X-Forwarded-For`` is a claim of the client's, except for what our own proxies appended."""

from collections.abc import Mapping
from typing import Any


def client_address(environ: Mapping[str, Any], trusted_proxies: int) -> str:
    """The peer's address; behind ``trusted_proxies`` proxies, the one that the outermost of them saw.

    Each proxy appends the address of its own peer, so with N of them the N-th from the right is the client. With fewer
    entries than proxies somebody came around them, and only the peer is certain.
    """
    peer = str(environ.get("REMOTE_ADDR") or "")
    if trusted_proxies <= 0:
        return peer
    seen = str(environ.get("HTTP_X_FORWARDED_FOR") or "").rsplit(",", trusted_proxies)
    wanted = seen[-trusted_proxies].strip() if len(seen) >= trusted_proxies else ""
    return wanted or peer
