"""Who tells what a relay does, for administrators: the log's follower, the queue's agent, and the keys with which they may
report from the relay's own host. ``/relays/<relay>/reports``

routes      the page, its live part, making and revoking keys
forms       what a key is called
sentences   how the two fare, in words, and what helps
"""

from app.web.relay_reports.routes import blueprint

__all__ = ["blueprint"]
