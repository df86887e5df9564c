"""Whom a campaign provably did not reach, as SQL: the one rule for counting them, for reviewing a follow-up and for freezing
its audience.

Provably: the relay never had the message, or refused it for a cause that is ours or lasted too long; or it was skipped
because the campaign was cancelled. Whose answer was ever lost is out, unless the relay was asked and had not got it; so is
what was deleted from the relay's queue, since an earlier try of the relay may have ended after the last byte. What the relay's
log says outweighs all that: whoever has a line "sent" is out, and so is who has one of a try that ended behind the last byte
(Postfix: "message may be sent more than once"). And whoever bounced, left, or is suppressed, is not to be mailed again.

``d``: a delivery of the campaign.
"""

NOT_REACHED = """(
    (d.unknown_at IS NULL OR coalesce(d.reply_text, '') = 'not_found_at_relay')
    AND ((d.status = 'failed' AND coalesce(d.reply_text, '') NOT LIKE 'deleted\\_from\\_queue%')
         OR (d.status = 'skipped' AND coalesce(d.skip_reason, '') = 'cancelled'))
    AND NOT EXISTS (
        SELECT FROM relay_outcome told
        WHERE told.frozen_on = d.frozen_on AND told.campaign_id = d.campaign_id AND told.seq = d.seq
          AND (told.status = 'sent' OR told.reply LIKE '%may be sent more than once%')))"""

# The address is asked for, too: who has another one since may have taken over that of somebody who was reached. Whoever is
# in another follow-up of the same campaign belongs to that one, whatever became of it: its own follow-up is the way on.
FOLLOWS_UP = f"""
    EXISTS (
        SELECT FROM campaign o JOIN delivery d ON d.frozen_on = o.frozen_on AND d.campaign_id = o.id
        WHERE o.id = :origin AND o.panel_id = :panel AND d.contact_id = c.id AND d.email = c.email AND {NOT_REACHED}
    ) AND NOT EXISTS (
        SELECT FROM campaign o JOIN delivery d ON d.frozen_on = o.frozen_on AND d.campaign_id = o.id
        WHERE o.follow_up_of_id = :origin AND o.id <> :campaign AND d.contact_id = c.id
    )
"""  # noqa: S608  # made of constants
"""A condition on the contact ``c``; wants ``:origin``, ``:campaign`` (the follow-up, or 0) and ``:panel``."""
EVERYBODY = "true"
"""The condition of campaigns that follow nothing up."""


def condition_for(origin_id: int | None) -> str:
    return EVERYBODY if origin_id is None else FOLLOWS_UP
