"""``script/chaos``: a campaign while what it needs is killed at random moments, and what is left of it is counted.

run          the practice relay takes the mail: workers and dispatcher killed, Redis flushed, PostgreSQL crashed
postfix_run  a real Postfix takes it, and its log is followed: follower, Postfix and Redis killed too, the log rotated, the
             queue out of space
relay        that Postfix: configured by ``flask relay render``, with a sink behind it
handovers    what its log says of each message
judging      what the sink holds, what the ledger says, what the log proves: do they agree?
"""
