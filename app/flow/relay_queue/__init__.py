"""A relay's own queue, as far as the platform knows it: what lies there, and what people want done with it.

snapshot   the agent's listing is stored by difference; whose campaign each mail is, by the token in its sender
figures    counts, ages and filters for pages, and how old the snapshot is
commands   hold, release, requeue, delete: proposed with an exact count, confirmed, taken by the agent, reported mail by mail
turns      of an agent over HTTPS: no old listing comes again; and what keeps an agent from the queue

The agent (``workers.relay.queue_agent``) speaks with ``snapshot.store``, ``commands.next_order``, ``commands.report`` and
``turns``, and with nothing else: each of them takes and gives plain values, so that an agent on the relay's own host does the
same over HTTPS (``app.web.relay_api``).
"""
