"""The breaker: what mailbox providers answer slows an IP down there, or stops it for a time; then it recovers step by step.

    phases     what one hold means at a moment: watched, slow, suspended, recovering, ended. Pure
    hearing    the replies of a chunk (or of the relay's log) open, extend and repeat holds: ``heard``
    standing   how fast each IP may go to a provider now: ``standing``; asked before each chunk
    holds      what there is and was, for people; lifting one; closing what has ended

A hold is a dated row (``provider_hold``) and what it allows follows from it and the clock alone: nobody has to wake up for the
next step of a recovery, and a worker that dies forgets nothing. The rules are data, in ``app/mail/backoff_rules.toml``.
"""

from app.flow.breaker.hearing import Heard, heard
from app.flow.breaker.standing import Standing, standing

__all__ = ["Heard", "Standing", "heard", "standing"]
