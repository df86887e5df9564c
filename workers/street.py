"""What this process brings to the street: settings, compiled campaigns, relays, rates, transports."""

from collections.abc import Collection, Mapping
from functools import cache

from app.config import Settings
from app.connections import redis_client
from app.flow import composing, practice, reconciling
from app.flow.rates.reserving import Rates
from app.flow.relays import RelayEndpoint, endpoint_of
from app.flow.sending import Street
from app.flow.sessions import AnySession
from app.flow.smtp_opening import own_name
from app.mail.addresses import domain_of
from app.mail.tokens import TokenMaker, message_id
from app.models import Campaign, Panel
from workers.broker import stopping, worker_name
from workers.smtp.pool import thread_pool
from workers.smtp.transport import SmtpTransport


@cache
def street_of(settings: Settings) -> Street:
    compositions = composing.Compositions(settings)
    return Street(
        settings=settings,
        worker=worker_name(),
        compose=compositions.of,
        endpoint=lambda session, campaign_id: endpoint_of(panel_of(session, campaign_id), settings),
        transport=transport,
        rates=Rates(redis_client(settings.redis_url)),
        stopping=stopping.is_set,
    )


def transport(endpoint: RelayEndpoint) -> SmtpTransport:
    return SmtpTransport(endpoint, thread_pool(own_name()))


def panel_of(session: AnySession, campaign_id: int) -> Panel:
    campaign = session.get_one(Campaign, campaign_id)
    return session.get_one(Panel, campaign.panel_id, populate_existing=True)


def message_ids(session: AnySession, settings: Settings, campaign_id: int) -> "MessageIds":
    campaign = session.get_one(Campaign, campaign_id)
    return MessageIds(TokenMaker(composing.token_key(settings), campaign_id), campaign.from_email.lower())


class MessageIds:
    """The Message-ID of each of a campaign's deliveries, as composing gives it."""

    def __init__(self, tokens: TokenMaker, from_email: str) -> None:
        self._tokens = tokens
        self._domain = domain_of(from_email)

    def __call__(self, seq: int) -> str:
        return message_id(self._tokens.token(seq), self._domain)


def ask_relay(
    session: AnySession, campaign_id: int, relay_id: int, wanted: Collection[str]
) -> Mapping[str, str] | None:
    """Which of these Message-IDs the relay has. None: it has no memory that could be asked."""
    if relay_id != reconciling.PRACTICE_RELAY_ID:
        return None
    return practice.known_message_ids(session, panel_of(session, campaign_id).id, wanted)
