"""Free ports on this machine."""

from __future__ import annotations

import errno
import socket

_HIGHEST = 65535


class PortError(Exception):
    """The port asked for is taken; the text says what to do."""


def is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # connections that rest in TIME_WAIT are no hindrance
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            if error.errno == errno.EACCES:
                raise PortError(f"Port {port} is for root only. Choose one from 1024 on.") from error
            raise PortError(f"{host} is no address of this machine: {error.strerror}.") from error
    return True


def demand(host: str, port: int) -> int:
    """This very port, or PortError."""
    if not is_free(host, port):
        raise PortError(
            f"Port {port} on {host} is taken. Choose another with --port, or stop the program that uses it."
        )
    return port


def next_free(host: str, port: int) -> int:
    """This port or the first free one above it."""
    for candidate in range(port, _HIGHEST + 1):
        if is_free(host, candidate):
            return candidate
    raise PortError(f"No port from {port} on is free on {host}.")
