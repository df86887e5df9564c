"""What providers do, one scenario a file, through the real sending: PostgreSQL, Redis, sockets.

The clock moves by moving every date back (``Stage.pass_minutes``), never by sleeping. Each scenario ends by
counting: what the sink took against the ledger, by Message-ID and recipient.
"""
