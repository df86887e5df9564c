"""Reading an SMTP server's replies out of what a socket gives (RFC 5321 §4.2)."""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

MAX_REPLY_BYTES = 64 * 1024
"""A reply may have many lines; one that never ends is none."""


class Reply(NamedTuple):
    code: int
    text: str
    """Its lines without their numbers, joined by blanks."""


class NotAReply(ValueError):
    """The server said something that is no SMTP reply, or never came to an end of it. The text is what it said."""


class ReplyTooLong(NotAReply):
    """A reply without an end."""


class ReplyReader:
    """Feed it with what arrives; it gives the replies that are complete."""

    def __init__(self) -> None:
        self._rest = b""
        self._lines: list[str] = []
        """Of the reply that is not complete yet."""
        self._held_bytes = 0

    def feed(self, received: bytes) -> Iterator[Reply]:
        """Raises NotAReply at the first line that is none; what came before it was given already."""
        whole, _newline, self._rest = (self._rest + received).rpartition(b"\n")
        for line in whole.split(b"\n") if whole or _newline else ():
            code, text, is_last = parse_line(line)
            if is_last and not self._lines:
                yield Reply(code, text)
                continue
            self._lines.append(text)
            self._held_bytes += len(line)
            if is_last:
                joined = " ".join(self._lines)
                self._lines, self._held_bytes = [], 0
                yield Reply(code, joined)
        if len(self._rest) + self._held_bytes > MAX_REPLY_BYTES:
            raise ReplyTooLong("")


@lru_cache(maxsize=256)
def parse_line(line: bytes) -> tuple[int, str, bool]:
    """Code, words, and whether it is the reply's last line. Kept, since a relay says the same few things all day."""
    line = line.rstrip(b"\r")
    if not (line[:3].isdigit() and line[3:4] in (b"", b" ", b"-")):
        raise NotAReply(line[:80].decode("utf-8", "replace"))
    return int(line[:3]), line[4:].decode("utf-8", "replace"), line[3:4] != b"-"
