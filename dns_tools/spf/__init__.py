"""Sender Policy Framework (RFC 7208).

macros.py     %{...}: read when the record is parsed, expanded when a term is reached
record.py     text -> Record, or SpfSyntaxError; resolves nothing
evaluate.py   check_host(): may this client send for this domain?
walk.py       a domain's record and all it includes, as a tree with the networks it names
lint.py       what is wrong with it, which addresses it covers, and a flattened proposal
"""

from dns_tools.spf.evaluate import SpfOutcome, SpfResult, check_host
from dns_tools.spf.macros import SpfSyntaxError
from dns_tools.spf.record import Record, parse

__all__ = ["Record", "SpfOutcome", "SpfResult", "SpfSyntaxError", "check_host", "parse"]
