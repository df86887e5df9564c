"""A relay's own queue, for administrators: what lies there, and hold, release, requeue, delete with an exact count.

routes      the page, its live part, proposing and confirming
sentences   what queues, ages, reasons, actions and outcomes are called
"""

from app.web.relay_queue.routes import blueprint

__all__ = ["blueprint"]
