"""DMARC (RFC 9989, and RFC 7489 where receivers still follow it).

record.py       text -> Record, or RecordError; resolves nothing
suffixes.py     organisational domains by a public suffix list (RFC 7489 §3.2)
discovery.py    which record applies to a domain: the tree walk (RFC 9989 §4.10), and the older way
alignment.py    the verdict for a message: which of its identifiers align, and what the policy asks for
check.py        findings for a domain's owner, report addresses included
"""

from dns_tools.dmarc.alignment import DkimIdentity, Verdict, evaluate
from dns_tools.dmarc.discovery import Discovery, discover, organizational_domain
from dns_tools.dmarc.record import Record, parse
from dns_tools.tags import RecordError

__all__ = [
    "Discovery",
    "DkimIdentity",
    "Record",
    "RecordError",
    "Verdict",
    "discover",
    "evaluate",
    "organizational_domain",
    "parse",
]
