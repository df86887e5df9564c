"""Connections notice that the other side is gone: what PostgreSQL was told of ours, and what Redis calls may last."""

import socket
import time

import pytest
from redis.exceptions import RedisError
from sqlalchemy import text

from app.connections import IDLE_IN_TRANSACTION_SECONDS, REDIS_CONNECTION, redis_client
from app.extensions import db


def test_database_ends_transactions_of_frozen_processes(app):
    told = db.session.scalar(text("SHOW idle_in_transaction_session_timeout"))
    assert told == f"{IDLE_IN_TRANSACTION_SECONDS // 60}min"


def test_settings_outlive_the_first_transaction_of_a_connection(app):
    db.session.execute(text("SELECT 1"))
    db.session.rollback()
    assert db.session.scalar(text("SHOW idle_in_transaction_session_timeout")) != "0"


def test_redis_that_takes_calls_and_says_nothing_is_given_up(monkeypatch):
    monkeypatch.setitem(REDIS_CONNECTION, "socket_timeout", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client = redis_client(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        begun = time.monotonic()
        with pytest.raises(RedisError):
            client.get("x")
        assert time.monotonic() - begun < 5
