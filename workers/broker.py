"""The broker is a doorbell: messages carry ids, may be lost, repeated or late, and are never retried by the broker. The
database knows what is to be done, and the time of the next try is a column there."""

import os
import socket
import threading
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import AgeLimit, Callbacks, Middleware, Pipelines, Retries, ShutdownNotifications, TimeLimit
from flask import Flask
from flask.ctx import AppContext

from app import create_app
from app.amqp import parameters
from app.config import Settings
from app.connections import redis_client
from app.extensions import db
from workers.rabbit import RabbitDoorbell

BROKER_NAMESPACE = "chaski"
RING_EXPIRES_MS = 5 * 60 * 1000
"""An old ring is dropped, since the dispatcher rings again."""


stopping = threading.Event()
"""Set when this worker process was asked to stop: long work looks at it and ends early, in good order."""


class OrderlyStop(Middleware):
    """Tells long work that the process is about to end, before Dramatiq waits for it."""

    def before_worker_shutdown(self, broker: Any, worker: Any) -> None:
        stopping.set()


class ApplicationContext(Middleware):
    """Each message is handled within an application context of its own; its database session ends with it."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._open: dict[str, AppContext] = {}

    def before_process_message(self, broker: Any, message: Any) -> None:
        context = self._app.app_context()
        context.push()
        self._open[message.message_id] = context

    def after_process_message(self, broker: Any, message: Any, *, result: Any = None, exception: Any = None) -> None:
        context = self._open.pop(message.message_id, None)
        if context is not None:
            db.session.remove()
            context.pop()

    after_skip_message = after_process_message


def make_broker(settings: Settings, app: Flask | None = None) -> dramatiq.Broker:
    """The broker of this installation; with the middleware of a worker where ``app`` is given."""
    middleware: list[Middleware] = [
        AgeLimit(),
        TimeLimit(),
        ShutdownNotifications(),
        Callbacks(),
        Pipelines(),
        Retries(),
    ]
    if app is not None:
        middleware += [OrderlyStop(), ApplicationContext(app)]
    if settings.broker_is_rabbit:
        return RabbitDoorbell(parameters(settings.broker_url), expires_ms=RING_EXPIRES_MS, middleware=middleware)
    return RedisBroker(  # type: ignore[no-untyped-call]  # dramatiq
        client=redis_client(settings.broker_url), middleware=middleware, namespace=BROKER_NAMESPACE
    )


def tend(broker: dramatiq.Broker) -> None:
    """Between two rings. RabbitMQ hangs up on who isn't heard of; Redis doesn't mind."""
    if isinstance(broker, RabbitDoorbell):
        broker.tend()


def worker_name() -> str:
    """``host:pid``: who holds a claim, for people reading the batches."""
    return f"{socket.gethostname()}:{os.getpid()}"[:100]


def start_worker_application() -> Flask:
    """The application of this process, with its broker set as Dramatiq's."""
    app = create_app()
    dramatiq.set_broker(make_broker(app.extensions["settings"], app))
    return app
