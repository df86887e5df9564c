"""The header by which the platform tells its relay which IP a message leaves by.

It is not signed: the relay's ``header_checks`` read it and its ``smtp`` services drop it before the mail goes on.
"""

EGRESS_HEADER = "X-Chaski-Egress"
