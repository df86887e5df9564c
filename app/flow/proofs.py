"""Test sends: the campaign as one contact would get it, to the author's own address, through the same render, sign and
submit. A proof's tokens have a purpose of their own and are never counted."""

import time
from dataclasses import dataclass

from sqlalchemy import select, text

from app.config import Settings
from app.flow import composing, suppressions
from app.flow.egress.choosing import candidates
from app.flow.relays import endpoint_of
from app.flow.sending import Street
from app.flow.sessions import AnySession
from app.flow.submission import AnswerKind, OutgoingMessage
from app.mail.replies import Verdict, classify_reply
from app.mail.tokens import TokenPurpose
from app.models import (
    PROOF_TRANSITIONS,
    Campaign,
    Contact,
    OwnReply,
    Panel,
    PanelMode,
    Proof,
    ProofStatus,
    check_transition,
    coded,
    read_coded,
    sources_of,
)

LEASE_SECONDS = 180
CLEARANCE_SECONDS = 30
"""Of the lease, kept for what a transport finishes without asking: opening a connection (20 s, ``smtp_opening``), hearing
answers out; and for writing down what came of it."""


def due(session: AnySession) -> list[int]:
    """Proofs that want a worker. One whose worker is gone is unknown: the person simply sends another."""
    session.execute(
        text("UPDATE proof SET status = 'unknown' WHERE status = 'sending' AND lease_expires_at < now()"),
    )
    waiting = session.scalars(select(Proof.id).where(Proof.status == ProofStatus.QUEUED).order_by(Proof.id)).all()
    session.commit()
    return list(waiting)


def claim(session: AnySession, proof_id: int) -> Proof | None:
    row = session.execute(
        text(
            """
            UPDATE proof SET status = 'sending', lease_expires_at = now() + make_interval(secs => :lease)
            WHERE id = :id AND status = ANY(:sources) RETURNING id
            """
        ),
        {"id": proof_id, "lease": LEASE_SECONDS, "sources": sources_of(PROOF_TRANSITIONS, ProofStatus.SENDING)},
    ).one_or_none()
    session.commit()
    return session.get_one(Proof, proof_id, populate_existing=True) if row else None


@dataclass(frozen=True)
class ProofLease:
    """The claim's own time and no more: a proof is one message, and a relay that takes all its time-outs on every try
    would outlast any lease. What is not on the wire when it ends never goes there."""

    until: float
    """By the monotonic clock."""

    @classmethod
    def begun(cls, claimed_at: float) -> "ProofLease":
        return cls(claimed_at + LEASE_SECONDS - CLEARANCE_SECONDS)

    def holds(self) -> bool:
        return time.monotonic() < self.until

    def keep(self) -> None:
        """Never renewed."""


def send_proof(session: AnySession, street: Street, proof_id: int) -> ProofStatus | None:
    """Send one proof. None where it wasn't ours to claim."""
    claimed_at = time.monotonic()
    proof = claim(session, proof_id)
    if proof is None:
        return None
    try:
        message = write(session, street.settings, proof)
    except (composing.CompositionProblem, ValueError) as problem:
        session.rollback()
        return _finish(session, proof, ProofStatus.FAILED, coded(OwnReply.CANNOT_COMPOSE, problem))
    panel = session.get_one(Panel, proof.panel_id)
    transport = street.transport(endpoint_of(panel, street.settings))
    session.commit()
    answer = next(iter(transport.submit(iter([message]), ProofLease.begun(claimed_at))), None)
    if answer is None:
        return _finish(session, proof, ProofStatus.FAILED, coded(OwnReply.LEASE_ENDED))
    if answer.kind is AnswerKind.LOST:
        return _finish(session, proof, ProofStatus.UNKNOWN, answer.text)
    if answer.kind is AnswerKind.NOT_SENT:
        return _finish(session, proof, ProofStatus.FAILED, answer.text)
    accepted = classify_reply(answer.code, answer.text, stage=answer.stage).verdict is Verdict.ACCEPTED
    status = ProofStatus.ACCEPTED if accepted else ProofStatus.FAILED
    is_ours = read_coded(OwnReply, answer.text)[0] is not None
    return _finish(session, proof, status, answer.text if is_ours else f"{answer.code} {answer.text}")


def write(session: AnySession, settings: Settings, proof: Proof) -> OutgoingMessage:
    """The proof's message, with its contact's merge data and its own address. Raises ``CompositionProblem``."""
    # Asked again, as for a batch (law 5): hours may lie between the request and a worker.
    if suppressions.of_address(session, proof.panel_id, proof.email):
        raise composing.CompositionProblem("address_suppressed", proof.email)
    campaign = session.get_one(Campaign, proof.campaign_id)
    composition = composing.compile_for(session, settings, campaign, purpose=TokenPurpose.PROOF)
    if campaign.frozen_on is None:
        composing.store_links(session, campaign, composition)
    contact = session.get(Contact, proof.contact_id) if proof.contact_id else None
    return composition.write(
        proof.id,
        proof.email,
        contact.name if contact else "",
        contact.fields if contact else {},
        egress=egress_address(session, campaign, turn=proof.id),
    )


def egress_address(session: AnySession, campaign: Campaign, *, turn: int) -> str:
    """The IP of the stream's pool that a proof leaves by: each in its turn. Empty where the relay has none of ours. Raises
    ``CompositionProblem`` where all are in quarantine."""
    panel = session.get_one(Panel, campaign.panel_id)
    if panel.mode is PanelMode.PRACTICE or panel.relay_id is None:
        return ""
    ips = candidates(session, panel.relay_id, panel.id, campaign.stream)
    if ips is None:
        return ""
    if not ips:
        raise composing.CompositionProblem("no_egress_ip")
    return ips[turn % len(ips)].address


def _finish(session: AnySession, proof: Proof, status: ProofStatus, reply: str) -> ProofStatus:
    proof.status = check_transition(PROOF_TRANSITIONS, proof.status, status)
    proof.reply = reply[:500]
    session.commit()
    return status
