"""What ``swanctl --list-sas --raw`` says: one line per IKE SA, nested braces, values without quotation marks:

    list-sa event {chaski-relay {uniqueid=1 version=2 state=ESTABLISHED local-host=… child-sas {chaski-submission-4
    {name=chaski-submission uniqueid=4 state=INSTALLED … remote-ts=[192.0.2.20/32[tcp/587]]}}}}
    list-sas reply {}

A value may hold blanks (``remote-id=C=PE, O=Entidad, CN=relay``) and goes on to the next key or brace.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

EVENT = re.compile(r"^list-sa event \{", re.MULTILINE)
KEY = re.compile(r"(?:^|(?<=\s))([a-z][a-z0-9-]*)\s*=\s*")


@dataclass
class Section:
    """A pair of braces: what it is called, its values, and the sections within."""

    name: str
    values: dict[str, str] = field(default_factory=dict)
    sections: list["Section"] = field(default_factory=list)

    def section(self, name: str) -> "Section | None":
        return next((one for one in self.sections if one.name == name), None)


@dataclass(frozen=True, kw_only=True)
class SecurityAssociation:
    """One IKE SA and the states of its children. After a reconnect or while rekeying there are several of a name."""

    connection: str
    state: str
    remote_host: str
    children: tuple[tuple[str, str], ...]
    """Name and state, such as ``("chaski-submission", "INSTALLED")``."""

    @property
    def is_established(self) -> bool:
        return self.state == "ESTABLISHED"

    def has_installed(self, child: str) -> bool:
        # While rekeying, the old one stays usable until its heir is installed.
        return any(name == child and state in ("INSTALLED", "REKEYING", "REKEYED") for name, state in self.children)


def parse_associations(raw: str) -> list[SecurityAssociation]:
    """All of them. Other lines (warnings of plugins, the final reply) are passed over; a cut line tells what it has."""
    found = []
    for event in EVENT.finditer(raw):
        end = raw.find("\nlist-sa", event.end())
        body = _read(_tokens(raw[event.end() : end if end >= 0 else len(raw)]), "")
        found += [_association(section) for section in body.sections]
    return found


def _association(section: Section) -> SecurityAssociation:
    children = section.section("child-sas")
    return SecurityAssociation(
        connection=section.name,
        state=section.values.get("state", ""),
        remote_host=section.values.get("remote-host", ""),
        children=tuple(
            (child.values.get("name", child.name), child.values.get("state", ""))
            for child in (children.sections if children else ())
        ),
    )


def _tokens(text: str) -> Iterator[str]:
    yield from (piece for piece in re.split(r"([{}])", text) if piece.strip())


def _read(tokens: Iterator[str], name: str) -> Section:
    """Up to the brace that closes it, or the end."""
    section, text = Section(name), ""
    for piece in tokens:
        if piece == "{":
            before, _, called = text.rstrip().rpartition(" ")
            section.values |= _values(before)
            section.sections.append(_read(tokens, called))
            text = ""
            continue
        section.values |= _values(text)
        text = piece
        if piece == "}":
            return section
    section.values |= _values(text)
    return section


def _values(text: str) -> dict[str, str]:
    found = list(KEY.finditer(text))
    ends = [key.start() for key in found[1:]] + [len(text)]
    return {key[1]: text[key.end() : end].strip() for key, end in zip(found, ends, strict=False)}
