"""Replies open, extend and repeat holds, in the transaction of whoever heard them.

1. Each reply is held against the rules; most say nothing about us, and then nothing is read or written.
2. Below a rule's number they are only counted, in a row that holds nothing ("watched").
3. At that number the IP goes slowly, or not at all. What comes in while it is suspended belongs to the same wave: counted.
4. One more match during the recovery, and it is suspended again for twice as long.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import select, text

from app.flow.breaker.phases import Phase, is_watch, phase
from app.flow.breaker.standing import open_holds
from app.flow.sessions import AnySession
from app.logs import get_logger
from app.mail.backoff import BackOff, Rule, recovery, rule_for, rules_by_key, without_addresses
from app.models import HoldKind, ProviderHold

log = get_logger(__name__)

MAX_REPLY = 500


class Heard(NamedTuple):
    """One reply of the provider, or of the relay in its name."""

    egress_ip_id: int | None
    code: int
    text: str


@dataclass
class _Match:
    """Replies to one IP (``None``: to the relay as a whole) that one rule fits."""

    ip_id: int | None
    rule: Rule
    reply: str
    count: int = 0


def heard(session: AnySession, *, relay_id: int, provider: str, replies: Iterable[Heard], now: datetime) -> None:
    """Act on what was heard. Commits nothing. Replies that say nothing about us cost nothing."""
    matches = _matches(provider, replies)
    if not matches or not _lock(session, relay_id, provider):
        return
    known = set(session.scalars(text("SELECT id FROM egress_ip WHERE relay_id = :relay"), {"relay": relay_id}))
    for match in matches:
        if match.ip_id is None or match.ip_id in known:
            _Breaker(session, relay_id, provider, now).act(match)
            session.flush()


def _matches(provider: str, replies: Iterable[Heard]) -> list[_Match]:
    """In the order in which each was first heard."""
    found: dict[tuple[int | None, str], _Match] = {}
    for reply in replies:
        rule = rule_for(provider, reply.code, reply.text)
        if rule is None:
            continue
        ip_id = None if rule.action is BackOff.SUSPEND_PROVIDER else reply.egress_ip_id
        shown = without_addresses(f"{reply.code} {reply.text}", longest=MAX_REPLY)
        found.setdefault((ip_id, rule.key), _Match(ip_id, rule, shown)).count += 1
    return list(found.values())


def _lock(session: AnySession, relay_id: int, provider: str) -> bool:
    """One at a time for each relay and provider, until the transaction ends. False: the relay is gone."""
    facts = {"relay": relay_id, "provider": provider}
    session.execute(text("SELECT pg_advisory_xact_lock(:relay, hashtext(:provider))"), facts)
    return session.scalar(text("SELECT id FROM relay WHERE id = :relay FOR KEY SHARE"), facts) is not None


class _Breaker:
    """One relay and provider at one moment."""

    def __init__(self, session: AnySession, relay_id: int, provider: str, now: datetime) -> None:
        self._session, self._relay_id, self._provider, self._now = session, relay_id, provider, now
        self._open = open_holds(session, relay_id, provider, now)

    def act(self, match: _Match) -> None:
        hold = self._hold_of(match.ip_id)
        if hold is None:
            self._count(match, None)
        elif hold.kind is HoldKind.SLOW and match.rule.suspends:
            self._count(match, hold)
        elif hold.kind is HoldKind.SLOW:
            self._slower(hold, match)
        elif phase(hold, self._now) is Phase.SUSPENDED:
            self._same_wave(hold, match)
        else:
            self._suspend(match, instead_of=hold, times=match.count)

    def _hold_of(self, ip_id: int | None) -> ProviderHold | None:
        """What holds it now; of several, the suspension."""
        holding = [hold for hold in self._open if hold.egress_ip_id == ip_id and not is_watch(hold)]
        return min(holding, key=lambda hold: hold.kind is HoldKind.SLOW, default=None)

    def _count(self, match: _Match, slow: ProviderHold | None) -> None:
        """Act at the rule's number; below it, remember how many there were."""
        watch = self._watch_of(match)
        times = match.count + (watch.times if watch else 0)
        if times >= match.rule.at_least:
            if watch:
                self._session.delete(watch)
            self._begin(match, slow, times)
            return
        watch = watch or self._new(match, HoldKind.SLOW, 1.0)
        watch.times, watch.until = times, self._now + timedelta(minutes=match.rule.within_minutes)

    def _watch_of(self, match: _Match) -> ProviderHold | None:
        wanted = (match.ip_id, match.rule.key)
        return next((hold for hold in self._open if is_watch(hold) and (hold.egress_ip_id, hold.rule) == wanted), None)

    def _begin(self, match: _Match, slow: ProviderHold | None, times: int) -> None:
        if match.rule.suspends:
            self._suspend(match, instead_of=slow, times=times)
            return
        hold = self._new(match, HoldKind.SLOW, match.rule.factor)
        hold.times, hold.until = times, self._now + timedelta(minutes=match.rule.minutes)
        self._tell("provider_slowed", hold)

    def _slower(self, hold: ProviderHold, match: _Match) -> None:
        """Slow for longer; slower too, unless this answers what was on its way when it became slow."""
        hold.times += match.count
        rule = rules_by_key().get(hold.rule, match.rule)
        if self._now - (hold.until - timedelta(minutes=rule.minutes)) < recovery().settle:
            return
        hold.factor = max(recovery().slowest_factor, hold.factor * match.rule.factor)
        hold.rule, hold.reply = match.rule.key, match.reply
        hold.until = self._now + timedelta(minutes=match.rule.minutes)
        self._tell("provider_slowed", hold)

    def _same_wave(self, hold: ProviderHold, match: _Match) -> None:
        """Only a rule that asks for more makes it longer."""
        hold.times += match.count
        until = self._now + timedelta(minutes=match.rule.minutes)
        if match.rule.suspends and match.rule.key != hold.rule and until > hold.until:
            hold.rule, hold.reply, hold.until = match.rule.key, match.reply, until

    def _suspend(self, match: _Match, *, instead_of: ProviderHold | None, times: int) -> None:
        """``instead_of``: the hold that wasn't enough, which becomes history."""
        until = self._now + self._length(match, instead_of)
        hold = self._new(match, HoldKind.SUSPENDED, recovery().restart_factor)
        hold.times, hold.until = times, until
        if instead_of is not None:
            instead_of.lifted_at = self._now
        self._tell("provider_suspended", hold)

    def _length(self, match: _Match, instead_of: ProviderHold | None) -> timedelta:
        """As the rule says, or twice the last one. A reply that only asks to go slower, heard while an IP recovers, has the
        suspension's own rule repeated."""
        rule = match.rule
        if not rule.suspends and instead_of is not None:
            rule = rules_by_key().get(instead_of.rule, rule)
        last = self._last_suspension(match.ip_id)
        length = max(timedelta(minutes=rule.minutes), 2 * last if last else timedelta(0))
        return min(length, timedelta(minutes=rule.most_minutes))

    def _last_suspension(self, ip_id: int | None) -> timedelta | None:
        """How long it was, where it is not too long ago."""
        last = self._session.scalars(
            select(ProviderHold)
            .where(
                ProviderHold.relay_id == self._relay_id,
                ProviderHold.provider == self._provider,
                ProviderHold.egress_ip_id.is_not_distinct_from(ip_id),
                ProviderHold.kind == HoldKind.SUSPENDED,
                ProviderHold.until.between(self._now - recovery().remembered, self._now),
            )
            .order_by(ProviderHold.until.desc())
            .limit(1)
        ).one_or_none()
        return last.until - last.started_at if last else None

    def _new(self, match: _Match, kind: HoldKind, factor: float) -> ProviderHold:
        hold = ProviderHold(
            relay_id=self._relay_id,
            egress_ip_id=match.ip_id,
            provider=self._provider,
            kind=kind,
            factor=factor,
            rule=match.rule.key,
            reply=match.reply,
            started_at=self._now,
            until=self._now,
        )
        self._session.add(hold)
        return hold

    def _tell(self, event: str, hold: ProviderHold) -> None:
        log.warning(
            event, relay_id=hold.relay_id, egress_ip_id=hold.egress_ip_id, provider=hold.provider, rule=hold.rule,
            factor=hold.factor, until=hold.until.isoformat(),
        )  # fmt: skip
