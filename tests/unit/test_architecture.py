"""The rules of DESIGN.md §2 that a machine can hold: who may import whom."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
# What reaches outside of the process, reads a clock, or draws by chance; keys are left to `cryptography`.
IMPURE = frozenset({
    "flask", "sqlalchemy", "flask_sqlalchemy", "psycopg", "redis", "dramatiq", "socket", "ssl", "smtplib",
    "asyncio", "threading", "subprocess", "time", "random", "secrets", "uuid", "os", "pathlib", "shutil",
    "tempfile", "urllib.request", "http", "requests",
})  # fmt: skip
CLOCK_CALLS = frozenset({"now", "utcnow", "today", "localtime", "localdate", "formatdate"})


def python_files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imported_modules(source: str, package: str = "") -> Iterator[str]:
    """Every module that the source imports, wherever in it; relative ones as absolute names."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            module = ".".join([*parts, *([node.module] if node.module else [])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and _called_name(node) in ("import_module", "__import__"):
            yield from (str(arg.value) for arg in node.args[:1] if isinstance(arg, ast.Constant))


def _called_name(call: ast.Call) -> str:
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""


def is_within(module: str, packages: frozenset[str]) -> bool:
    parts = module.split(".")
    return any(".".join(parts[:length]) in packages for length in range(1, len(parts) + 1))


def offences(package: str, forbidden: frozenset[str]) -> list[str]:
    found = []
    for path in python_files(package):
        own_package = ".".join(path.relative_to(ROOT).parent.parts)
        modules = imported_modules(path.read_text(encoding="utf-8"), own_package)
        found += [f"{path.relative_to(ROOT)}: {module}" for module in modules if is_within(module, forbidden)]
    return found


def test_pure_mail_core_imports_nothing_impure():
    assert len(python_files("app/mail")) > 10
    assert offences("app/mail", IMPURE) == []


def test_pure_mail_core_imports_nothing_else_of_the_product():
    modules = {
        module
        for path in python_files("app/mail")
        for module in imported_modules(path.read_text(encoding="utf-8"), "app.mail")
        if module.split(".")[0] == "app"
    }
    assert {module for module in modules if not is_within(module, frozenset({"app.mail"}))} == set()


def test_pure_mail_core_asks_no_clock():
    calls = [
        f"{path.name}: {_called_name(node)}"
        for path in python_files("app/mail")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and _called_name(node) in CLOCK_CALLS
    ]
    assert calls == []


def test_product_never_imports_workers():
    assert offences("app", frozenset({"workers"})) == []


def test_the_web_never_rings_and_so_never_waits_for_a_broker():
    assert offences("app", frozenset({"dramatiq"})) == []


def test_dns_tools_import_nothing_of_the_product():
    assert offences("dns_tools", frozenset({"app", "workers", "ops"})) == []


@pytest.mark.parametrize(
    "package",
    [
        "app/flow",
        "app/flow/importing",
        "app/flow/egress",
        "app/flow/rates",
        "app/flow/relay_config",
        "app/flow/relay_queue",
        "app/web/relay_queue",
        "app/mail",
        "app/web/public",
        "workers",
        "workers/relay",
        "workers/smtp",
    ],
)
def test_the_map_of_a_package_names_every_module(package: str):
    told = ast.get_docstring(ast.parse((ROOT / package / "__init__.py").read_text(encoding="utf-8"))) or ""
    words = set(re.findall(r"\w+", told))
    assert {path.stem for path in (ROOT / package).glob("*.py")} - words == {"__init__"}


@pytest.mark.parametrize(
    "source, forbidden",
    [
        ("import socket", "socket"),
        ("from flask import g", "flask"),
        ("def f():\n    import sqlalchemy.orm", "sqlalchemy"),
        ("from .. import workers", "app.workers"),
        ("import importlib\nimportlib.import_module('redis.client')", "redis"),
        ("from urllib import request", "urllib.request"),
    ],
)
def test_the_finder_finds(source: str, forbidden: str):
    """The tests above are worth as much as this."""
    assert any(is_within(module, frozenset({forbidden})) for module in imported_modules(source, "app.mail"))
