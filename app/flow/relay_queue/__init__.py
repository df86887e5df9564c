"""A relay's own queue, as far as the platform knows it: what lies there, and what people want done with it.

snapshot   the agent's listing is stored by difference; whose campaign each mail is, by the token in its sender
figures    counts, ages and filters for pages, and how old the snapshot is
commands   hold, release, requeue, delete: proposed with an exact count, confirmed, taken by the agent, reported mail by mail

The agent (``workers.relay.queue_agent``) speaks with ``snapshot.store``, ``commands.next_order`` and ``commands.report``,
and with nothing else: each of them takes and gives plain values, so that an agent on the relay's own host can do the same
over HTTPS.
"""
