"""The practice relay on its socket: start, listen, shut down in order."""

import asyncio
import time
import warnings

from app.config import Settings
from app.logs import get_logger
from workers.practice.collector import PATIENCE_SECONDS, MessageCollector
from workers.practice.connection import PracticeConnection
from workers.practice.handler import GOODBYE, PracticeHandler

log = get_logger(__name__)

HOSTNAME = "practica.chaski.invalid"
IDENT = "Chaski practice relay, delivers to no one"
IDLE_SECONDS = 300
"""RFC 5321 §4.5.3.2.7."""
SHUTDOWN_SECONDS = 5.0
"""How long running transactions may take to end when the relay stops."""


class PracticeRelay:
    """``start``, then ``port``; ``stop`` lets running transactions end and stores everything."""

    def __init__(self, settings: Settings, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._settings = settings
        self._collector = MessageCollector(
            settings.database_url.replace("postgresql+psycopg", "postgresql", 1),
            keep_messages=settings.practice_keep_messages,
            patience_seconds=patience_seconds,
        )
        self._handler = PracticeHandler(settings, self._collector)
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        return int(self._listening.sockets[0].getsockname()[1])

    @property
    def _listening(self) -> asyncio.Server:
        if self._server is None:
            raise RuntimeError("The practice relay has not been started.")
        return self._server

    async def start(self) -> None:
        self._collector.start()
        self._server = await asyncio.get_running_loop().create_server(
            self._connection, self._settings.practice_relay_host, self._settings.practice_relay_port, backlog=512
        )
        log.info("practice_relay_listening", host=self._settings.practice_relay_host, port=self.port)

    def _connection(self) -> PracticeConnection:
        with warnings.catch_warnings():
            # aiosmtpd warns of AUTH without TLS on every connection; ours does not leave the loopback.
            warnings.simplefilter("ignore", UserWarning)
            return PracticeConnection(
                self._handler,
                hostname=HOSTNAME,
                ident=IDENT,
                timeout=IDLE_SECONDS,
                auth_required=True,
                auth_require_tls=False,
                authenticator=self._handler.authenticate,
                loop=asyncio.get_running_loop(),
            )

    async def stop(self) -> None:
        """Nobody hears 421 where a message may have been stored: a sender would take it for a refusal and send again.
        Who is between two messages, or begins one, is sent away; running transactions get their own answer."""
        self._listening.close()
        self._handler.is_stopping = True
        for connection in [one for one in self._handler.connections if one.is_idle]:
            await connection.dismiss(GOODBYE)
        await self._let_transactions_end()
        await self._collector.close()
        await asyncio.sleep(0.05)  # The last answers are on their way.
        for connection in list(self._handler.connections):
            connection.cut()
        log.info("practice_relay_stopped")

    async def _let_transactions_end(self) -> None:
        deadline = time.monotonic() + SHUTDOWN_SECONDS
        while self._handler.connections and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
