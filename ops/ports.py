"""Free ports on this machine, kept for whoever chose them until its server listens.

Between choosing a port and listening on it seconds pass, in which a second installation would choose the same one.
A reservation is an abstract unix socket (unix(7)) named after the port: it lives in the same network namespace as the
port, needs no file, and the kernel drops it with its process.
"""

from __future__ import annotations

import errno
import socket

_HIGHEST = 65535


class PortError(Exception):
    """The port asked for cannot be had; the text says what to do."""


class Reservation:
    """This port is ours until `release()`, as far as other installations are concerned."""

    def __init__(self, port: int, holder: socket.socket) -> None:
        self.port = port
        self._holder = holder

    def release(self) -> None:
        self._holder.close()


def is_free(host: str, port: int) -> bool:
    """Whether a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections in TIME_WAIT are no hindrance
        try:
            probe.bind((host, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            if error.errno == errno.EACCES:
                raise PortError(f"Port {port} is for root only. Choose one from 1024 on.") from error
            raise PortError(f"{host} is no address of this machine: {error.strerror}.") from error
    return True


def reserve(host: str, port: int) -> Reservation:
    """This very port, or PortError."""
    reservation = _try_reserve(host, port)
    if reservation is None:
        raise PortError(
            f"Port {port} on {host} is taken. Choose another with --port, or stop the program that uses it."
        )
    return reservation


def reserve_next(host: str, port: int) -> Reservation:
    """This port or the first one above it that is free and not reserved."""
    for candidate in range(port, _HIGHEST + 1):
        reservation = _try_reserve(host, candidate)
        if reservation is not None:
            return reservation
    raise PortError(f"No port from {port} on is free on {host}.")


def next_free(host: str, port: int) -> int:
    """This port or the first free one above it, reserved by nobody and not kept."""
    reservation = reserve_next(host, port)
    reservation.release()
    return reservation.port


def _try_reserve(host: str, port: int) -> Reservation | None:
    holder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        holder.bind(f"\0chaski-port-{port}")
        if is_free(host, port):
            return Reservation(port, holder)
    except PortError:
        holder.close()
        raise
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            holder.close()
            raise
    holder.close()
    return None
