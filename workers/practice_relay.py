"""``python -m workers.practice_relay``: the practice relay as a process. Asked for port 0, it tells the one that it got in
its first line on standard output."""

import asyncio
import logging
import signal
import sys

from app import logs
from app.config import load_settings
from workers.practice.server import PracticeRelay


async def serve(relay: PracticeRelay, port_asked_for: int) -> None:
    """Until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await relay.start()
    if not port_asked_for:
        print(relay.port, file=sys.stdout, flush=True)  # noqa: T201
    await stopped.wait()
    await relay.stop()


def main() -> None:
    settings = load_settings()
    logs.configure(settings.log_format)
    logging.getLogger("mail.log").setLevel(logging.ERROR)  # aiosmtpd's own, several lines per command
    asyncio.run(serve(PracticeRelay(settings), settings.practice_relay_port))


if __name__ == "__main__":
    main()
