"""Mailbox providers on the command line: the same limits and answers as on the pages."""

import json
from dataclasses import replace

import pytest

from app.flow import providers
from app.flow.mail_domains import known
from app.mail.mailbox_providers import Limits
from tests.dns_tools import conftest as dns_fixtures

running_nameserver, nameserver = dns_fixtures.running_nameserver, dns_fixtures.nameserver


@pytest.fixture
def run(app, settings, nameserver):
    app.extensions["settings"] = replace(settings, dns_servers=f"127.0.0.1:{nameserver.port}")

    def run(*arguments: str, code: int = 0):
        result = app.test_cli_runner().invoke(args=["providers", *arguments])
        assert result.exit_code == code, result.output
        return result.stderr if code else result.stdout

    return run


def test_limits_in_force_are_a_table_or_json(run, session):
    limits = Limits(messages_per_minute=7, connections=2, messages_per_connection=3, warm_up_caps=(10, 20))
    providers.save_limits(session, "google", limits, None)
    lines = run("list").splitlines()
    assert lines[0].split("  ")[0] == "Clave"
    assert next(line.split() for line in lines if line.startswith("google")) == [
        "google",
        "Google",
        "7",
        "2",
        "3",
        "2",
        "sí",
    ]
    facts = {row["provider"]: row for row in json.loads(run("list", "--json"))}
    assert facts["google"] == {
        "provider": "google", "messages_per_minute": 7, "connections": 2, "messages_per_connection": 3,
        "warm_up_caps": [10, 20], "changed": True,
    }  # fmt: skip
    assert not facts["other"]["changed"]


def test_domain_is_looked_up_and_kept(run, session, nameserver):
    nameserver.load("empresa.example.pe. MX 10 mx.zoho.com.")
    assert json.loads(run("lookup", "Empresa.example.pe", "--json")) == {
        "domain": "empresa.example.pe", "provider": "zoho", "mx": "mx.zoho.com",
    }  # fmt: skip
    assert known(session, "empresa.example.pe").provider == "zoho"
    assert "Zoho" in run("lookup", "empresa.example.pe")


def test_silent_name_servers_are_a_refusal(run, nameserver):
    nameserver.servfail.add("empresa.example.pe")
    assert "El DNS no respondió por empresa.example.pe" in run("lookup", "empresa.example.pe", code=1)


def test_what_is_no_domain_is_used_wrongly(run, nameserver):
    assert "is no domain" in run("lookup", "sin-punto", code=2)
    assert nameserver.asked == []
