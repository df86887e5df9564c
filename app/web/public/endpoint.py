"""``/o/<token>.gif`` and ``/c/<token>/<n>`` as a plain WSGI application: token checked, hit handed over, answered.

Whatever is wrong (forged, expired, written in another case, of a deleted campaign, a number without a link) gets the same 404.
A hit counts with GET only: HEAD is asked by scanners.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from app.client_address import client_address
from app.config import Settings
from app.flow.hits import MAX_INT4, encode_hit
from app.mail.tokens import DeliveryRef, TokenPurpose, TokenReader
from app.models import EventKind
from app.web.public.campaign_cache import CampaignCache, FactsUnavailable, KnownCampaign

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

Headers = list[tuple[str, str]]

PIXEL = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b")
"""GIF89a, 1 × 1, transparent, 43 bytes."""

NO_STORE = ("Cache-Control", "no-store, no-cache, must-revalidate, private")
# The token must not travel on to the page behind the link.
COMMON: Headers = [
    NO_STORE,
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Robots-Tag", "noindex, nofollow"),
]
PIXEL_HEADERS: Headers = [("Content-Type", "image/gif"), ("Content-Length", str(len(PIXEL))), *COMMON]
REDIRECT_HEADERS: Headers = [("Content-Type", "text/plain"), ("Content-Length", "0"), *COMMON]
PAGE_POLICY = (
    "Content-Security-Policy",
    "default-src 'none'; style-src 'self'; frame-ancestors 'none'; base-uri 'none'",
)

READING = frozenset({"GET", "HEAD"})


class Token(NamedTuple):
    ref: DeliveryRef
    """Of a proof: the proof's id in place of the number of the recipient."""
    is_proof: bool


class ConstantPage:
    """An answer that is the same for everyone who reads the language."""

    def __init__(self, status: str, bodies: Mapping[str, bytes], extra: Iterable[tuple[str, str]] = ()) -> None:
        """``bodies``: HTML by language, the installation's own first."""
        self._status = status
        self._bodies = dict(bodies)
        self._extra = list(extra)

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        body = self._bodies[self._language(environ)]
        headers = [
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Vary", "Accept-Language"),
            *COMMON,
            PAGE_POLICY,
            *self._extra,
        ]
        start_response(self._status, headers)
        return () if environ["REQUEST_METHOD"] == "HEAD" else (body,)

    def _language(self, environ: "WSGIEnvironment") -> str:
        accepted = parse_accept_header(environ.get("HTTP_ACCEPT_LANGUAGE"), LanguageAccept)
        default = next(iter(self._bodies))
        return accepted.best_match(list(self._bodies), default) or default


class TrackingEndpoint:
    """Parameters:
    put: takes an encoded hit and never fails (``HitOutbox.put``).
    pages: serves ``/u/``.
    not_found, try_again: the 404 and the 503 (PostgreSQL is away and the campaign not remembered).
    """

    def __init__(
        self,
        settings: Settings,
        *,
        campaigns: CampaignCache,
        put: Callable[[bytes], None],
        pages: "WSGIApplication",
        not_found: "WSGIApplication",
        try_again: "WSGIApplication",
        clock: Callable[[], float] = time.time,
    ) -> None:
        key = settings.derived_key("tokens")
        self._read_delivery = TokenReader(key, TokenPurpose.DELIVERY).read
        self._read_proof = TokenReader(key, TokenPurpose.PROOF).read
        self._trusted_proxies = settings.trusted_proxies
        self._campaigns = campaigns
        self._put = put
        self._pages = pages
        self._not_found = not_found
        self._try_again = try_again
        self._clock = clock

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        prefix = path[:3]
        if prefix == "/u/":
            return self._pages(environ, start_response)
        if prefix not in ("/o/", "/c/"):
            return self._not_found(environ, start_response)
        if environ["REQUEST_METHOD"] not in READING:
            return _method_not_allowed(start_response)
        try:
            if prefix == "/o/":
                return self._open(path, environ, start_response)
            return self._click(path, environ, start_response)
        except FactsUnavailable:
            return self._try_again(environ, start_response)

    def _open(self, path: str, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        token = self._read(path[3:-4]) if path.endswith(".gif") else None
        if token is None or not self._may_be_opened(token):
            return self._not_found(environ, start_response)
        if environ["REQUEST_METHOD"] == "GET":
            self._hit(EventKind.OPEN, token, None, environ)
        start_response("200 OK", [*PIXEL_HEADERS])
        return (PIXEL,) if environ["REQUEST_METHOD"] == "GET" else ()

    def _may_be_opened(self, token: Token) -> bool:
        """Without the database, an unknown campaign's pixel is shown and counted: the tracker knows the campaign later."""
        try:
            return self._campaign_of(token) is not None
        except FactsUnavailable:
            return True

    def _click(self, path: str, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        text, _slash, number = path[3:].partition("/")
        token = self._read(text)
        campaign = self._campaign_of(token) if token is not None else None
        location = campaign.locations.get(number) if campaign is not None else None
        if token is None or location is None:
            return self._not_found(environ, start_response)
        if environ["REQUEST_METHOD"] == "GET":
            self._hit(EventKind.CLICK, token, int(number), environ)
        start_response("302 Found", [("Location", location), *REDIRECT_HEADERS])
        return ()

    def _read(self, text: str) -> Token | None:
        """Our links are lower case; mail addresses, which lose their case on the way, carry the same tokens."""
        if text != text.lower():
            return None
        if (delivery := self._read_delivery(text)) is not None:
            return Token(delivery, is_proof=False)
        proof = self._read_proof(text)
        return Token(proof, is_proof=True) if proof is not None else None

    def _campaign_of(self, token: Token) -> KnownCampaign | None:
        """None where the campaign is gone, the token has expired, or the audience never had this number."""
        if token.ref.campaign_id > MAX_INT4:
            return None
        campaign = self._campaigns.get(token.ref.campaign_id)
        if campaign is None or self._clock() >= campaign.expires_at:
            return None
        if not token.is_proof and not 1 <= token.ref.seq <= campaign.audience_size:
            return None
        return campaign

    def _hit(self, kind: EventKind, token: Token, link: int | None, environ: Mapping[str, Any]) -> None:
        """Hand it over; the author's own test sends aren't counted."""
        if token.is_proof:
            return
        self._put(
            encode_hit(
                kind,
                token.ref.campaign_id,
                token.ref.seq,
                link=link,
                ip=client_address(environ, self._trusted_proxies),
                user_agent=environ.get("HTTP_USER_AGENT", ""),
            )
        )


def _method_not_allowed(start_response: "StartResponse") -> Iterable[bytes]:
    start_response("405 Method Not Allowed", [("Allow", "GET, HEAD"), ("Content-Length", "0"), *COMMON])
    return ()
