"""A street for tests: the real one, without Redis where a test needs no rates."""

from collections.abc import Mapping

from app.config import Settings
from app.flow import composing
from app.flow.rates.reserving import Grant
from app.flow.relays import endpoint_of
from app.flow.sending import Street
from app.flow.sessions import AnySession
from app.flow.submission import Transport
from app.mail.addresses import domain_of
from app.mail.tokens import TokenMaker, message_id
from app.models import Campaign, Panel
from workers.smtp.pool import ConnectionPool
from workers.smtp.transport import SmtpTransport


class Unlimited:
    """Implements ``RateLimits``: what is wanted may go, by no IP of ours."""

    def reserve(self, session: AnySession, *, campaign_id: int, relay_id: int, provider: str, wanted: int) -> Grant:
        return Grant(wanted)

    def settle(self, grant: Grant, used: Mapping[int | None, int]) -> None:
        return


def street(settings: Settings, transport: Transport | None = None, worker: str = "test") -> Street:
    pool = ConnectionPool("[127.0.0.1]")

    def endpoint(session: AnySession, campaign_id: int):  # type: ignore[no-untyped-def]
        panel = session.get_one(Panel, session.get_one(Campaign, campaign_id).panel_id, populate_existing=True)
        return endpoint_of(panel, settings)

    return Street(
        settings=settings,
        worker=worker,
        compose=composing.Compositions(settings).of,
        endpoint=endpoint,
        transport=lambda endpoint: transport or SmtpTransport(endpoint, pool),
        rates=Unlimited(),
    )


def message_id_of(settings: Settings, campaign: Campaign, seq: int) -> str:
    tokens = TokenMaker(composing.token_key(settings), campaign.id)
    return message_id(tokens.token(seq), domain_of(campaign.from_email))
