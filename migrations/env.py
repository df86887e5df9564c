"""Alembic's environment: always online, always through the application's own engine."""

from typing import Any

from alembic import context
from flask import current_app

from app import models  # noqa: F401  # the models register themselves in the metadata
from app.extensions import Base
from app.models.partitions import is_partition


def is_ours(_object: object, name: str | None, type_: str, *_more: Any) -> bool:
    """Partitions come and go by the calendar, not by migrations."""
    return not (type_ == "table" and is_partition(name or ""))


def run_migrations() -> None:
    engine = current_app.extensions["migrate"].db.engine
    with engine.connect() as connection:
        context.configure(
            connection=connection, target_metadata=Base.metadata, include_object=is_ours, compare_server_default=False
        )
        with context.begin_transaction():
            context.run_migrations()


run_migrations()
