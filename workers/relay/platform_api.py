"""The platform's API for machines, from the relay's own host: HTTPS with a verified certificate, a key, and an end to
everything."""

import json
import ssl
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

TIMEOUT_SECONDS = 30.0
MAX_ANSWER_BYTES = 256 * 1024
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class NotTaken(Exception):
    """What was told was not taken, or nobody knows; it has to be told again."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A key goes to nobody but whom it is meant for."""

    def redirect_request(self, *_args: Any, **_kwargs: Any) -> None:
        return None


class PlatformApi:
    """One relay's part of it.

    Parameters:
      platform: its address, ``https://…``.
      ca_file: the authority of its certificate, where that is one's own.
    """

    def __init__(self, platform: str, relay_id: int, key: str, ca_file: Path | None = None) -> None:
        self._url = f"{platform.rstrip('/')}/api/relay/{relay_id}"
        self._key = key
        context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context), _NoRedirects
        )

    def post(self, path: str, told: Any) -> dict[str, Any]:
        """``told``: bytes as they are, or whatever JSON can say. Raises NotTaken."""
        is_packed = isinstance(told, bytes)
        request = urllib.request.Request(  # noqa: S310  # the address is the administrator's
            f"{self._url}/{path}",
            data=told if is_packed else json.dumps(told).encode(),
            headers={
                "Authorization": f"Bearer {self._key}",
                "Content-Type": "application/octet-stream" if is_packed else "application/json",
            },
        )
        try:
            with self._opener.open(request, timeout=TIMEOUT_SECONDS) as answer:
                heard = json.loads(answer.read(MAX_ANSWER_BYTES))
        except urllib.error.HTTPError as error:
            raise NotTaken(f"{error.code} {error.reason}") from error
        except (OSError, ValueError, RecursionError) as error:
            raise NotTaken(repr(error)[:500]) from error
        if not isinstance(heard, dict):
            raise NotTaken("an answer that is none")
        return heard


def checked_address(platform: str) -> str:
    """Raises ValueError where the key could be read on its way."""
    address = urlsplit(platform)
    if address.scheme != "https" and address.hostname not in LOOPBACK:
        raise ValueError("--platform needs an https:// address: the key would be read on its way.")
    return platform
