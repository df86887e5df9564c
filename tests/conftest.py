"""The fixtures of all tests come from the plugins named here."""

import pytest

pytest_plugins = [
    "tests.fixtures.services",
    "tests.fixtures.app",
    "tests.fixtures.sending",
    "tests.fixtures.tracking",
    "tests.fixtures.relay",
]

LONG_FILES = ("tests/e2e/", "tests/ops/", "tests/scenarios/")
"""Where single tests take half a minute: begun first, they are no tail for which the other workers wait."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: not item.nodeid.startswith(LONG_FILES) and "browser" not in item.nodeid)
