"""What the platform may ask a relay about messages that it handed over."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Protocol

from sqlalchemy import select

from app.current import current_settings
from app.flow import composing
from app.flow.relay_memory import remembered
from app.flow.sessions import AnySession
from app.mail.tokens import TokenReader, token_of_message_id
from app.models import RelayLog


class RelayAdapter(Protocol):
    """One relay, as far as it can tell something."""

    @property
    def tells_outcomes(self) -> bool:
        """Whether `delivered` and later bounces will be heard of."""
        ...

    def has(
        self, session: AnySession, campaign_id: int, message_ids: Collection[str]
    ) -> Mapping[str, str | None] | None:
        """As ``app.flow.reconciling.AskRelay``: queue ids of those that it took, None for those it can't tell of, and
        without those that it provably has not; None altogether where it has no memory."""
        ...


class PlainSmtp:
    """A relay that answers while a message is handed over, and never again."""

    tells_outcomes = False

    def has(
        self, session: AnySession, campaign_id: int, message_ids: Collection[str]
    ) -> Mapping[str, str | None] | None:
        return None


class FollowedPostfix:
    """A Postfix whose log a follower reads."""

    tells_outcomes = True

    def __init__(self, relay_id: int, *, token_key: bytes, margin: timedelta) -> None:
        self._relay_id = relay_id
        self._margin = margin
        self._tokens = TokenReader(token_key)

    def has(
        self, session: AnySession, campaign_id: int, message_ids: Collection[str]
    ) -> Mapping[str, str | None] | None:
        seqs = {message_id: self._seq_of(message_id, campaign_id) for message_id in message_ids}
        wanted = [seq for seq in seqs.values() if seq is not None]
        known = remembered(session, campaign_id, self._relay_id, wanted, margin=self._margin)
        if known is None:
            return None
        told: dict[str, str | None] = {}
        for message_id, seq in seqs.items():
            if seq is None:
                told[message_id] = None  # What is no Message-ID of this campaign can't be told.
            elif seq in known:
                told[message_id] = known[seq]
        return told

    def _seq_of(self, message_id: str, campaign_id: int) -> int | None:
        ref = self._tokens.read(token_of_message_id(message_id) or "")
        return ref.seq if ref is not None and ref.campaign_id == campaign_id else None


def adapter_of(session: AnySession, relay_id: int) -> RelayAdapter:
    is_followed = session.scalar(select(RelayLog.relay_id).where(RelayLog.relay_id == relay_id)) is not None
    if not is_followed:
        return PlainSmtp()
    settings = current_settings()
    margin = timedelta(seconds=settings.relay_silence_seconds)
    return FollowedPostfix(relay_id, token_key=composing.token_key(settings), margin=margin)
