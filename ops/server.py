"""`script/server`: sets up what is missing, runs the platform, stops it on Ctrl-C. Step 1 of 6 is the shell's."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence

from ops.assets import AssetError, install_assets
from ops.catalogues import CatalogueError, compile_catalogues
from ops.installation import Installation, InstallationError
from ops.migrate import MigrationError
from ops.ports import PortError
from ops.procfile import ProcfileError
from ops.services import ServiceError
from ops.services.instance import var_dir

DEFAULT_PORT = 8025
_HEALTHY_WITHIN_SECONDS = 90.0
_QUIET_SECONDS = 1.5
_CALM_WITHIN_SECONDS = 20.0
_EXPECTED = (
    argparse.ArgumentTypeError,
    AssetError,
    CatalogueError,
    InstallationError,
    MigrationError,
    PortError,
    ProcfileError,
    ServiceError,
)


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    # SIGINT by name: a shell that starts us in the background has it ignored, and we would inherit that.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    status = _serve_or_explain(options)
    if status != 1 and not options.setup_only:
        _say("Stopped: nothing of this installation is running any more. script/server starts it again.")
    return status


def _serve_or_explain(options: argparse.Namespace) -> int:
    try:
        return serve(options)
    except KeyboardInterrupt:
        return 130
    except _EXPECTED as error:
        _say(f"error: {error}")
    except PermissionError as error:
        _say(f"error: {error.filename} belongs to another user. Start Chaski as the one who set it up, or as root.")
    return 1


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="script/server",
        description="Run Chaski: set up what is missing, start every process, stop all of it on Ctrl-C.",
        epilog="DATABASE_URL and BROKER_URL replace the embedded PostgreSQL and Redis; BROKER_URL may be RabbitMQ's "
        "(amqp://user:password@host/virtual_host), with REDIS_URL beside it. CHASKI_VAR is where everything is kept "
        "(default: var in the checkout).",
    )
    parser.add_argument(
        "--port", type=_port_number, help=f"port of the web (default: $PORT, else {DEFAULT_PORT} or the next free)"
    )
    parser.add_argument(
        "--host", default=os.environ.get("WEB_HOST", "127.0.0.1"), help="address (default: %(default)s)"
    )
    parser.add_argument("--setup-only", action="store_true", help="set everything up, start nothing")
    return parser.parse_args(arguments)


def _port_number(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port: a number from 1 to 65535")
    return int(text)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def serve(options: argparse.Namespace) -> int:
    with Installation(var_dir(), host=options.host) as installation:
        _choose_port(installation, options.port)
        password = _set_up(installation)
        log_in = _log_in(installation.administrator, password)
        if options.setup_only:
            _show(["Chaski is set up. Start it with script/server.", *log_in])
            return 0
        return _run(installation, log_in)


def _choose_port(installation: Installation, asked: int | None) -> None:
    if asked is not None:
        installation.take_port(asked)
        return
    wanted = _port_number(os.environ.get("PORT") or str(DEFAULT_PORT))
    installation.take_next_port(wanted)
    if installation.port != wanted:
        _say(f"Port {wanted} is taken: using {installation.port}.")


def _set_up(installation: Installation) -> str | None:
    """The administrator's password, where it was made just now."""
    _say("2/6 Browser assets")
    install_assets()
    _say("3/6 Translations")
    compile_catalogues()
    _say("4/6 Services")
    installation.start_services()
    _say("5/6 Database")
    installation.upgrade_database()
    return installation.seed().get("password")


def _run(installation: Installation, log_in: Sequence[str]) -> int:
    _say("6/6 Processes")
    supervisor = installation.start_processes()
    supervisor.stop_on_signals()
    if installation.wait_until_healthy(_HEALTHY_WITHIN_SECONDS):
        supervisor.wait_until_calm(quiet_seconds=_QUIET_SECONDS, at_most_seconds=_CALM_WITHIN_SECONDS)
    elif not supervisor.stop_requested:
        _say(f"error: {installation.local_url}/healthz did not answer; the lines of `web` above say why.")
        return 1
    if not supervisor.stop_requested:
        _show([f"Chaski is running: {installation.public_url}", *log_in, "Ctrl-C stops it."])
        supervisor.wait_for_signal()
    _say("Stopping …")
    return 0


def _log_in(account: str | None, password: str | None) -> list[str]:
    if account is None:
        return ["", "Log in with your own account.", ""]
    if password is not None:
        return [
            "",
            f"Account:  {account}",
            f"Password: {password}",
            "          (shown this once; change it in your profile)",
            "",
        ]
    lost = f"(lost it? .venv/bin/flask users password {account})"
    return ["", f"Account:  {account}", "Password: as first shown, or as you set it since", f"          {lost}", ""]


def _show(lines: Sequence[str]) -> None:
    """A box that is not overlooked among the lines of the processes."""
    width = max(map(len, lines))
    framed = [f"│ {line:<{width}} │" for line in lines]
    _say("\n".join(["", f"┌{'─' * (width + 2)}┐", *framed, f"└{'─' * (width + 2)}┘", ""]))


if __name__ == "__main__":
    sys.exit(main())
