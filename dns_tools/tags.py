"""Tag lists (RFC 6376 §3.2): the form that DKIM, DMARC, MTA-STS, TLS-RPT and BIMI records share."""

import re

TAG = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")


class RecordError(ValueError):
    """The text is no usable record of its kind. ``code`` is stable, ``detail`` the offending piece."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail


def parse_tags(text: str) -> dict[str, str]:
    """In their order. Raises :class:`RecordError` (``not_a_tag_list``, ``duplicate_tag``)."""
    tags: dict[str, str] = {}
    for piece in text.strip().rstrip(";").split(";"):
        name, equals, value = piece.partition("=")
        name = name.strip()
        if not equals or not TAG.match(name):
            raise RecordError("not_a_tag_list", piece.strip()[:80])
        if name in tags:
            raise RecordError("duplicate_tag", name)
        tags[name] = value.strip()
    return tags
