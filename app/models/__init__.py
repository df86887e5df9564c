"""The nouns: one file each, with its status enum and its table of allowed transitions.

``check_transition`` is the one way by which a status changes in Python; set-based SQL names the statuses it moves from,
and in the tests of the street a trigger in the database holds every change against the same tables.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

from app.models.campaign import (
    CAMPAIGN_TRANSITIONS,
    CANARY_TRANSITIONS,
    PROOF_TRANSITIONS,
    Campaign,
    CampaignDetails,
    CampaignLink,
    CampaignSample,
    CampaignStatus,
    CanaryStage,
    Proof,
    ProofStatus,
    campaign_list,
)
from app.models.codes import BY_PEOPLE, OwnReply, PauseReason, coded, read_coded
from app.models.contact import (
    SUBSCRIPTION_TRANSITIONS,
    Contact,
    CustomField,
    FieldType,
    MailingList,
    RemovedField,
    Subscription,
    SubscriptionStatus,
    Suppression,
    SuppressionReason,
)
from app.models.delivery import (
    BATCH_TRANSITIONS,
    DELIVERY_TRANSITIONS,
    FINAL_STATUSES,
    Attempt,
    Batch,
    BatchStatus,
    Delivery,
    DeliveryStatus,
    SkipReason,
)
from app.models.domain import DkimAlgorithm, DkimKey, SendingDomain
from app.models.egress import (
    EGRESS_TRANSITIONS,
    EgressAssignment,
    EgressIp,
    EgressPool,
    EgressState,
    EgressUse,
    MailStream,
)
from app.models.event import CampaignReactions, Engagement, Event, EventKind
from app.models.imports import IMPORT_TRANSITIONS, Import, ImportRow, ImportStatus, RowOutcome
from app.models.panel import Panel, PanelMode, Relay, RelaySecurity
from app.models.practice import PracticeMessage
from app.models.provider import HoldKind, MailDomain, ProviderHold, ProviderLimits
from app.models.user import ROLE_ORDER, Membership, Role, User

__all__ = [
    "BATCH_TRANSITIONS",
    "BY_PEOPLE",
    "CAMPAIGN_TRANSITIONS",
    "CANARY_TRANSITIONS",
    "DELIVERY_TRANSITIONS",
    "EGRESS_TRANSITIONS",
    "FINAL_STATUSES",
    "IMPORT_TRANSITIONS",
    "PROOF_TRANSITIONS",
    "ROLE_ORDER",
    "SUBSCRIPTION_TRANSITIONS",
    "Attempt",
    "Batch",
    "BatchStatus",
    "Campaign",
    "CampaignDetails",
    "CampaignLink",
    "CampaignReactions",
    "CampaignSample",
    "CampaignStatus",
    "CanaryStage",
    "Contact",
    "CustomField",
    "Delivery",
    "DeliveryStatus",
    "DkimAlgorithm",
    "DkimKey",
    "EgressAssignment",
    "EgressIp",
    "EgressPool",
    "EgressState",
    "EgressUse",
    "Engagement",
    "Event",
    "EventKind",
    "FieldType",
    "HoldKind",
    "IllegalTransition",
    "Import",
    "ImportRow",
    "ImportStatus",
    "MailDomain",
    "MailStream",
    "MailingList",
    "Membership",
    "OwnReply",
    "Panel",
    "PanelMode",
    "PauseReason",
    "PracticeMessage",
    "Proof",
    "ProofStatus",
    "ProviderHold",
    "ProviderLimits",
    "Relay",
    "RelaySecurity",
    "RemovedField",
    "Role",
    "RowOutcome",
    "SendingDomain",
    "SkipReason",
    "Subscription",
    "SubscriptionStatus",
    "Suppression",
    "SuppressionReason",
    "User",
    "campaign_list",
    "check_transition",
    "coded",
    "read_coded",
    "sources_of",
]

S = TypeVar("S", bound=StrEnum)


class IllegalTransition(ValueError):
    """A status was to be changed in a way that its table does not allow."""

    def __init__(self, current: StrEnum, wanted: StrEnum) -> None:
        super().__init__(f"{type(current).__name__}: {current} -> {wanted} is not allowed")
        self.current = current
        self.wanted = wanted


def check_transition(table: Mapping[S, frozenset[S]], current: S, wanted: S) -> S:
    """``wanted``, where the table allows the move; :class:`IllegalTransition` otherwise."""
    if wanted not in table[current]:
        raise IllegalTransition(current, wanted)
    return wanted


def sources_of(table: Mapping[S, frozenset[S]], wanted: S) -> list[str]:
    """The statuses from which ``wanted`` may be reached, for a compare-and-set in SQL."""
    return [source.value for source, targets in table.items() if wanted in targets]
