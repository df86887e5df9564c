"""Hosts of one cluster on one machine: network namespaces on a bridge. Nothing of it reaches beyond the machine.

    with Network(["a", "b"]) as network:
        network.gateway                 # the address of this machine's side, 198.18.…: RFC 2544's, never routed
        network.inside("a", "python …") # a command that runs on host a
        network.cut("a"); network.mend("a")

Needs root and iproute2.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from types import TracebackType
from typing import Self


class NetworkError(Exception):
    """The hosts can't be made here; the text says why."""


class Network:
    """Parameters:
    hosts: their names, short.
    """

    def __init__(self, hosts: Sequence[str]) -> None:
        if os.geteuid() != 0 or shutil.which("ip") is None:
            raise NetworkError("Hosts as network namespaces need root and the program ip (Debian: iproute2).")
        self._tag = f"ck{os.getpid() % 100_000}"
        self._hosts = list(hosts)
        # One of the 256 nets of 198.18.0.0/16 (RFC 2544: for measuring), by process: two runs don't meet.
        self._net = f"198.18.{os.getpid() % 256}"
        self.gateway = f"{self._net}.1"
        self._bridge = f"{self._tag}br"

    def __enter__(self) -> Self:
        try:
            self._build()
        except BaseException:
            self._tear_down()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tear_down()

    def name(self, host: str) -> str:
        return f"{self._tag}-{host}"

    def inside(self, host: str, command: str) -> str:
        """The shell command that runs ``command`` on that host."""
        return f"ip netns exec {self.name(host)} {command}"

    def address(self, host: str) -> str:
        return f"{self._net}.{10 + self._hosts.index(host)}"

    def cut(self, host: str) -> None:
        """Pull the cable: packets vanish in both directions, and nobody is told."""
        self._ip("link", "set", self._cable(host), "nomaster")

    def mend(self, host: str) -> None:
        self._ip("link", "set", self._cable(host), "master", self._bridge)

    def _cable(self, host: str) -> str:
        return f"{self._tag}{self._hosts.index(host)}"

    def _build(self) -> None:
        self._ip("link", "add", self._bridge, "type", "bridge")
        self._ip("address", "add", f"{self.gateway}/24", "dev", self._bridge)
        self._ip("link", "set", self._bridge, "up")
        for host in self._hosts:
            self._plug_in(host)

    def _plug_in(self, host: str) -> None:
        name, cable = self.name(host), self._cable(host)
        self._ip("netns", "add", name)
        self._ip("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", name)
        self._ip("link", "set", cable, "master", self._bridge)
        self._ip("link", "set", cable, "up")
        self._ip("-n", name, "address", "add", f"{self.address(host)}/24", "dev", "eth0")
        self._ip("-n", name, "link", "set", "eth0", "up")
        self._ip("-n", name, "link", "set", "lo", "up")

    def _tear_down(self) -> None:
        for host in self._hosts:
            self._try("netns", "delete", self.name(host))
            self._try("link", "delete", self._cable(host))
        self._try("link", "delete", self._bridge)

    @staticmethod
    def _try(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], capture_output=True, check=False)

    @staticmethod
    def _ip(*arguments: str) -> None:
        done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            raise NetworkError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
