"""``python -m workers.practice_relay``: the practice relay as a process. Its first line on standard output is its port."""

import asyncio
import logging
import signal
import sys

from app import logs
from app.config import load_settings
from workers.practice.server import PracticeRelay


async def serve(relay: PracticeRelay) -> None:
    """Until SIGTERM or SIGINT."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await relay.start()
    print(relay.port, file=sys.stdout, flush=True)  # noqa: T201  # for whoever asked for port 0
    await stopped.wait()
    await relay.stop()


def main() -> None:
    settings = load_settings()
    logs.configure(settings.log_format)
    logging.getLogger("mail.log").setLevel(logging.ERROR)  # aiosmtpd's own, several lines per command
    asyncio.run(serve(PracticeRelay(settings)))


if __name__ == "__main__":
    main()
