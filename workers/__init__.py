"""Everything that runs off-request. Actors are thin: an id in, one call into ``app.flow``.

broker           the doorbell: Redis or RabbitMQ, the application context around each message
rabbit           how RabbitMQ is a doorbell
actors           what a message makes a worker do
street           what this process brings along: settings, compiled campaigns, relays, rates, transports
dispatcher       finds what is due and rings; one active, others stand by
relay            what watches a relay: the agent of its queue
smtp             the transport: pipelined submission to a relay
practice_relay   an SMTP server that delivers to no one, as a process; ``practice`` is the server itself
relay            what a real relay tells after it took a message: the log follower, and what may be asked
tracker          opens and clicks from the Redis stream into the database
"""

import logging

logging.getLogger("alembic").setLevel(logging.WARNING)
"""Dramatiq shows everything from INFO on, and on import Alembic introduces each of its plug-ins: before anything else."""
