"""Organisational domains by a public suffix list, as RFC 7489 §3.2 had it and many receivers still do.

The shipped extract knows the registries that matter here; a whole list in the same format (publicsuffix.org) can be given
instead. An unknown top-level domain counts as a suffix of one label, the list's own default rule.
"""

import functools
from collections.abc import Iterable
from importlib import resources


class PublicSuffixes:
    def __init__(self, lines: Iterable[str]) -> None:
        rules = [line.split()[0].lower() for line in lines if line.strip() and not line.startswith("//")]
        self._exceptions = {rule[1:] for rule in rules if rule.startswith("!")}
        self._rules = {rule for rule in rules if not rule.startswith("!")}

    def organizational_domain(self, domain: str) -> str:
        """One label more than the longest suffix; a suffix itself stays what it is."""
        labels = domain.lower().removesuffix(".").split(".")
        return ".".join(labels[-(self._suffix_labels(labels) + 1) :])

    def _suffix_labels(self, labels: list[str]) -> int:
        for count in range(len(labels), 0, -1):
            name = ".".join(labels[-count:])
            if name in self._exceptions:
                return count - 1
            if name in self._rules or ".".join(["*", *labels[-count + 1 :]] if count > 1 else ["*"]) in self._rules:
                return count
        return 1


@functools.cache
def shipped_suffixes() -> PublicSuffixes:
    text = resources.files("dns_tools").joinpath("public_suffixes.dat").read_text(encoding="utf-8")
    return PublicSuffixes(text.splitlines())
