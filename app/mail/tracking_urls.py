"""The addresses that the public pages answer: link, pixel and unsubscribe, with one token for all."""

import re
from dataclasses import dataclass

CLICK_PATH = "/c"
OPEN_PATH = "/o"
UNSUBSCRIBE_PATH = "/u"

# Nothing that HTML, a header, or `<…>` around an address would have to escape.
_BASE_URL = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~/-]*)?\Z").match


@dataclass(frozen=True, slots=True)
class TrackingUrls:
    """`base` is the tracking host with its scheme, https outside practice mode (RFC 8058 §3.1 wants it)."""

    base: str

    def __post_init__(self) -> None:
        if not _BASE_URL(self.base) or self.base.endswith("/"):
            raise ValueError(f"not a tracking base URL (http or https, host, no final slash): {self.base!r}")

    def click(self, token: str, index: int) -> str:
        return f"{self.base}{CLICK_PATH}/{token}/{index}"

    def open(self, token: str) -> str:
        return f"{self.base}{OPEN_PATH}/{token}.gif"

    def unsubscribe(self, token: str) -> str:
        return f"{self.base}{UNSUBSCRIBE_PATH}/{token}"
