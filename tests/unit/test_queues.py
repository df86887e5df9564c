"""Every queue that an actor names is served by a process of the Procfile, and no process serves a queue that nobody rings."""

import ast
import re
from pathlib import Path

from app.amqp import QUEUES as QUEUES_OF_RABBITMQ
from ops.procfile import read_procfile

ROOT = Path(__file__).resolve().parents[2]
QUEUES = re.compile(r"--queues((?: [a-z_]+)+)")


def named_by_actors() -> set[str]:
    tree = ast.parse((ROOT / "workers" / "actors.py").read_text())
    return {
        keyword.value.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "dramatiq.actor"
        for keyword in node.keywords
        if keyword.arg == "queue_name" and isinstance(keyword.value, ast.Constant)
    }


def served_by_processes() -> set[str]:
    commands = read_procfile(ROOT / "Procfile").values()
    return {queue for command in commands for found in QUEUES.findall(command) for queue in found.split()}


def test_every_queue_is_served_and_every_served_queue_is_named() -> None:
    assert named_by_actors()
    assert named_by_actors() == served_by_processes() == set(QUEUES_OF_RABBITMQ)


def test_no_actor_is_retried_by_the_broker() -> None:
    """What must not repeat by itself: the database knows the next try."""
    tree = ast.parse((ROOT / "workers" / "actors.py").read_text())
    actors = [
        decorator
        for node in tree.body
        if isinstance(node, ast.FunctionDef)
        for decorator in node.decorator_list
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "dramatiq.actor"
    ]
    assert actors
    assert all(any(k.arg is None and ast.unparse(k.value) == "DOORBELL" for k in actor.keywords) for actor in actors)
