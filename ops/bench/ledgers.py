"""What the platform planned against what the practice relay holds, by Message-ID and recipient."""

from collections import Counter

from sqlalchemy import text

from app.flow.sessions import AnySession
from app.mail.tokens import TokenMaker, message_id
from ops.bench.stage import SENDING_DOMAIN


def against_the_relay(session: AnySession, token_key: bytes, campaign_id: int) -> dict[str, int]:
    """``lost``: planned and not there; ``duplicated``: there more than once; ``foreign``: there and never planned."""
    tokens = TokenMaker(token_key, campaign_id)
    planned = {
        (email, message_id(tokens.token(seq), SENDING_DOMAIN))
        for seq, email in session.execute(
            text("SELECT seq, email FROM delivery WHERE campaign_id = :id"), {"id": campaign_id}
        )
    }
    taken = Counter(
        (row.rcpt_to, row.message_id)
        for row in session.execute(text("SELECT rcpt_to, message_id FROM practice_message"))
    )
    statuses = Counter(
        {
            status: int(total)
            for status, total in session.execute(
                text("SELECT status::text, count(*) FROM delivery WHERE campaign_id = :id GROUP BY 1"),
                {"id": campaign_id},
            )
        }
    )
    return {
        "planned": len(planned),
        "accepted": statuses["accepted"],
        "captured": sum(taken.values()),
        "lost": len(planned - taken.keys()),
        "duplicated": sum(taken.values()) - len(taken),
        "foreign": len(taken.keys() - planned),
        "unknown": statuses["unknown"],
        "not_accepted": len(planned) - statuses["accepted"],
    }
