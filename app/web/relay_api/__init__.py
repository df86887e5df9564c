"""What a relay's own host reports, for machines: JSON in, JSON out, a key instead of a person.

entry     the blueprint; a key opens its own relay, and nothing else
log       what the follower read
queue     what the agent sees, what it is to do, what became of that
"""

from app.web.relay_api import log, queue
from app.web.relay_api.entry import blueprint

__all__ = ["blueprint", "log", "queue"]
