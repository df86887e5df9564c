"""The fixtures of all tests come from the plugins named here."""

pytest_plugins = ["tests.fixtures.services", "tests.fixtures.app", "tests.fixtures.tracking", "tests.fixtures.relay"]
