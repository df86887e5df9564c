"""`flask relay`: the files out of the live data, and the difference to what is installed, read by a real `postconf`."""

import json
import os
import shutil
import stat
from pathlib import Path

import pytest

from app.flow import relay_keys
from app.models import Relay, RelaySecurity
from app.models.egress import EgressIp, EgressPool, EgressState

NAME = "Relay dedicado"


@pytest.fixture
def relay(session) -> Relay:
    row = Relay(name=NAME, host="relay.example.pe", port=587, security=RelaySecurity.STARTTLS, username="chaski")
    session.add(row)
    session.flush()
    pool = EgressPool(relay_id=row.id, name="Masivo\nsmtp inet n - n - - smtpd")
    session.add(pool)
    session.flush()
    session.add_all(
        EgressIp(
            relay_id=row.id,
            pool_id=pool.id,
            address=f"127.0.1.{number}",
            helo_name=f"mx{number}.example.pe",
            state=EgressState.ACTIVE,
        )
        for number in (1, 2, 3)
    )
    session.commit()
    return row


@pytest.fixture
def run(app):
    def run(*arguments: object, code: int = 0) -> str:
        result = app.test_cli_runner().invoke(args=["relay", *map(str, arguments)])
        assert result.exit_code == code, result.output
        return result.stderr if code else result.stdout

    return run


def tree(directory: Path) -> dict[str, str]:
    return {str(path.relative_to(directory)): path.read_text() for path in directory.rglob("*") if path.is_file()}


def quarantine(session, address: str) -> None:
    session.query(EgressIp).filter_by(address=address).one().state = EgressState.QUARANTINED
    session.commit()


def test_files_are_readable_by_postfix_and_hold_no_secret(run, relay, tmp_path):
    out = tmp_path / "relay"
    told = json.loads(run("render", "--relay", NAME, "--out", out, "--json"))
    assert (told["ips"], told["quarantined"]) == (3, 0)
    assert sorted(tree(out)) == told["files"]
    for path in out.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if path.is_dir() else 0o644)
    assert "smtp-" in tree(out)["postfix/master.cf"]
    assert not list(tmp_path.glob(".relay*")), "nothing is left beside it"


def test_writing_again_replaces_everything_and_keeps_what_was_chosen(run, session, relay, tmp_path):
    out = tmp_path / "relay"
    run("render", "--relay", NAME, "--out", out, "--submitter", "192.0.2.0/24", "--hostname", "salida.example.pe")
    (out / "postfix" / "stale").write_text("x")
    quarantine(session, "127.0.1.2")
    run("render", "--relay", NAME, "--out", out)
    texts = tree(out)
    assert "postfix/stale" not in texts
    assert "mynetworks = 192.0.2.0/24" in texts["postfix/main.cf"]
    assert "myhostname = salida.example.pe" in texts["postfix/main.cf"]
    assert "127.0.1.2, pool Masivo smtp inet n - n - - smtpd: quarantined" in texts["postfix/master.cf"]


def test_directory_of_somebody_else_is_not_touched(run, relay, tmp_path):
    (tmp_path / "main.cf").write_text("mine")
    told = json.loads(run("render", "--relay", NAME, "--out", tmp_path, "--json", code=1))
    assert told["error"] == "directory_taken"
    assert tree(tmp_path) == {"main.cf": "mine"}
    file = tmp_path / "main.cf"
    assert "otros archivos" in run("render", "--relay", NAME, "--out", file, code=1)
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    assert "otros archivos" in run("render", "--relay", NAME, "--out", link, code=1)


def test_directory_stays_as_it_was_where_the_data_can_not_be_written(run, session, relay, tmp_path):
    out = tmp_path / "relay"
    run("render", "--relay", NAME, "--out", out)
    before = tree(out)
    session.query(EgressIp).filter_by(address="127.0.1.3").one().helo_name = "mx3.example.pe\n  -o x=y"
    session.commit()
    told = json.loads(run("render", "--relay", NAME, "--out", out, "--json", code=1))
    assert told["error"] == "helo_invalid" and "mx3" in told["value"]
    assert tree(out) == before


def test_relay_without_ips_and_unknown_relay_are_refused(run, session, relay, tmp_path):
    assert "there are: Relay dedicado" in run("render", "--relay", "x", "--out", tmp_path / "a", code=2)
    session.query(EgressIp).delete()
    session.commit()
    assert "ninguna IP" in run("render", "--relay", NAME, "--out", tmp_path / "a", code=1)
    assert not (tmp_path / "a").exists()


def test_tunnel_needs_both_ends(run, relay, tmp_path):
    told = run("render", "--relay", NAME, "--out", tmp_path / "a", "--tunnel-relay", "192.0.2.1", code=1)
    assert "--tunnel-platform" in told
    ends = ("--tunnel-platform", "192.0.2.1", "--tunnel-relay", "192.0.2.2")
    run("render", "--relay", NAME, "--out", tmp_path / "a", *ends, "--tunnel-psk")
    assert "auth = psk" in tree(tmp_path / "a")["ipsec/relay/chaski-relay.conf"]


@pytest.fixture
def installed(run, relay, tmp_path) -> Path:
    """As the instructions say: the rendered files, copied."""
    run("render", "--relay", NAME, "--out", tmp_path / "relay", "--submitter", "192.0.2.0/24")
    return Path(shutil.copytree(tmp_path / "relay" / "postfix", tmp_path / "etc"))


@pytest.mark.postfix
def test_installed_as_rendered_is_in_order(run, installed):
    assert json.loads(run("check", "--relay", NAME, "--config-dir", installed, "--json")) == {"differences": []}
    assert "está como debe" in run("check", "--relay", NAME, "--config-dir", installed)


def differences(run, installed: Path) -> list[tuple[str, str, str, str]]:
    told = json.loads(run("check", "--relay", NAME, "--config-dir", installed, "--json", code=1))
    assert told["error"] == "differs" and all(one["remedy"] for one in told["differences"])
    return [(one["kind"], one["name"], one["expected"], one["found"]) for one in told["differences"]]


@pytest.mark.postfix
def test_parameter_that_opens_the_relay_is_found_and_blanks_and_order_are_not(run, installed):
    main_cf = installed / "main.cf"
    text = main_cf.read_text().replace("mynetworks = 192.0.2.0/24", "mynetworks = 192.0.2.0/24 0.0.0.0/0")
    text = text.replace("relay_domains =", "relay_domains   =  ")
    main_cf.write_text(text + "queue_directory = /srv/postfix\n")
    assert differences(run, installed) == [("parameter", "mynetworks", "192.0.2.0/24", "192.0.2.0/24 0.0.0.0/0")]


@pytest.mark.postfix
def test_service_or_option_that_is_missing_foreign_or_changed_is_found(run, session, installed):
    ids = [row.id for row in session.query(EgressIp).order_by(EgressIp.id)]
    master = installed / "master.cf"
    text = master.read_text().replace("smtp_bind_address=127.0.1.2", "smtp_bind_address=127.0.1.3")
    text = text.replace(f"smtp-{ids[2]} unix - - n - 40 smtp", f"smtp-{ids[2]} unix - - n - 9 smtp")
    text = text.replace("scache     unix", "#scache unix") + "smtp inet n - n - - smtpd\n"
    master.write_text(text)
    assert sorted(differences(run, installed)) == sorted([
        ("option", f"smtp-{ids[1]}/unix/smtp_bind_address", "127.0.1.2", "127.0.1.3"),
        ("service", f"smtp-{ids[2]}/unix", "- - n - 40 smtp", "- - n - 9 smtp"),
        ("service", "scache/unix", "- - n - 1 scache", ""),
        ("service", "smtp/inet", "", "n - n - - smtpd"),
    ])  # fmt: skip


@pytest.mark.postfix
def test_quarantine_that_has_not_reached_the_relay_is_found_in_all_its_places(run, session, installed):
    quarantine(session, "127.0.1.1")
    kinds = {(kind, name.rpartition("/")[2]) for kind, name, _expected, _found in differences(run, installed)}
    assert ("parameter", "defer_transports") in kinds
    assert ("parameter", "default_transport") in kinds
    assert ("option", "smtp_bind_address") in kinds
    assert ("file", "egress_header_checks") in kinds
    assert "postfix reload" in run("check", "--relay", NAME, "--config-dir", installed, code=1)


@pytest.mark.postfix
def test_lookup_file_that_is_missing_or_in_another_order_is_found(run, installed):
    checks = installed / "egress_header_checks"
    lines = checks.read_text().splitlines()
    at = lines.index("/^/ HOLD unknown egress IP")
    lines[2:2], lines[at : at + 1] = [lines[at]], []
    checks.write_text("\n".join(lines) + "\n")
    assert [(kind, name) for kind, name, *_ in differences(run, installed)] == [("file", "egress_header_checks")]
    checks.unlink()
    assert [one[1] for one in differences(run, installed)] == ["egress_header_checks"]


@pytest.mark.postfix
def test_directory_that_is_no_postfix_configuration_is_said(run, relay, tmp_path):
    told = json.loads(run("check", "--relay", NAME, "--config-dir", tmp_path, "--json", code=1))
    assert told["error"] == "postconf_failed" and "main.cf" in told["value"]


def test_relay_that_does_not_answer_is_told_with_what_is_known_of_the_tunnel(run, session, relay):
    """This machine has no strongSwan, or one that carries no tunnel of ours."""
    relay.host, relay.port, relay.username = "127.0.0.1", 1, ""
    session.commit()
    told = json.loads(run("tunnel", "--relay", NAME, "--json", code=1))
    assert (told["relay"], told["health"]) == ("refused", told["error"])
    if shutil.which("swanctl", path=f"{os.environ['PATH']}:/usr/sbin") is None:
        assert (told["tunnel"], told["health"]) == ("not_installed", "unreached")
        assert "swanctl no está instalado" in told["message"]


def test_key_is_shown_once_and_all_of_a_relay_end_together(run, session, relay):
    made = [json.loads(run("key", "--relay", NAME, "--json")) for _ in range(2)]
    assert {relay_keys.relay_of_key(session, one["key"]) for one in made} == {relay.id}
    assert json.loads(run("key", "--relay", NAME, "--revoke", "--json")) == {"revoked": 2}
    assert relay_keys.relay_of_key(session, made[0]["key"]) is None
