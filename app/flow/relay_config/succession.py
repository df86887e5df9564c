"""By which service the mail of each IP leaves. A quarantined one has an heir within its pool, always the same one while the
pool stays as it is; without an heir its mail is held, since no IP of another pool may take it."""

import hashlib
from collections.abc import Sequence

from app.flow.relay_config.plan import Egress


def heir_of(egress: Egress, all_egress: Sequence[Egress]) -> Egress | None:
    """Itself where it may send; else who sends for it. None: nobody is left."""
    if not egress.is_quarantined:
        return egress
    able = [other for other in all_egress if other.pool_id == egress.pool_id and not other.is_quarantined]
    return max(able, key=lambda other: _fitness(egress, other), default=None)


def default_egress(all_egress: Sequence[Egress]) -> Egress | None:
    """Who sends what carries no header (the relay's own bounces, say): the first IP of the first pool that may send, one
    that is warm before one that is warming."""
    able = [egress for egress in all_egress if not egress.is_quarantined]
    return min(able, key=lambda egress: (egress.is_warming, egress.pool_id, egress.number), default=None)


def _fitness(egress: Egress, other: Egress) -> tuple[bool, bool, bytes]:
    """The same family, since the other one reaches other hosts; warm before warming, which has caps of its own; then
    rendezvous hashing (Thaler & Ravishankar, 1998): several quarantined IPs get different heirs, and one that joins or
    leaves the pool moves no other one's mail."""
    digest = hashlib.blake2b(f"{egress.number}>{other.number}".encode(), digest_size=8).digest()
    return other.ip_version == egress.ip_version, not other.is_warming, digest
