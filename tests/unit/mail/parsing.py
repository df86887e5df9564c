"""What a receiver makes of a message: the standard library's parser, and dkimpy with a given public key."""

from collections.abc import Mapping
from email import message_from_bytes
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import parseaddr

import dkim


def parsed(wire: bytes) -> EmailMessage:
    message = message_from_bytes(wire, policy=SMTP)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def display_name(message: EmailMessage, header: str) -> str:
    """The decoded name of a header's only mailbox.

    By the older decoder: the newer one of Python 3.11 puts a blank where a name was cut into two words,
    though RFC 2047 §6.2 says that the blank between encoded words is to be ignored.
    """
    raw = next(value for name, value in message.raw_items() if name == header)
    name, _address = parseaddr("".join(str(raw).splitlines()))
    return str(make_header(decode_header(name)))


def part_text(message: EmailMessage, subtype: str) -> str:
    """The decoded text of one part, with LF as line end."""
    part = message.get_body((subtype,))
    assert part is not None
    assert not part.defects
    payload = part.get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode("utf-8").replace("\r\n", "\n")


def dkim_verifies(wire: bytes, records: Mapping[str, str], index: int = 0) -> bool:
    """Whether signature number `index` verifies; `records` maps `selector._domainkey.domain` to its TXT."""

    def txt(name: bytes, timeout: int = 5) -> bytes | None:
        record = records.get(name.decode().rstrip("."))
        return record.encode() if record else None

    try:
        return bool(dkim.DKIM(wire).verify(index, dnsfunc=txt))
    except dkim.ValidationError:  # for a wrong body hash; a wrong signature is answered with False
        return False
