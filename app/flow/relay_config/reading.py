"""The plan of a relay as the database has it now."""

from sqlalchemy import select

from app.flow.relay_config.plan import Egress, RelayChoices, RelayPlan, checked, is_host_name
from app.flow.sessions import AnySession
from app.models import Relay
from app.models.egress import EgressIp, EgressPool, EgressState


def read_plan(session: AnySession, relay: Relay, choices: RelayChoices) -> RelayPlan:
    """Raises :class:`RelayConfigProblem`."""
    egress = read_egress(session, relay.id)
    return checked(
        RelayPlan(
            name=relay.name,
            hostname=choices.hostname or _hostname(relay.host, egress),
            port=relay.port,
            security=relay.security,
            username=relay.username,
            egress=egress,
            choices=choices,
        )
    )


def read_egress(session: AnySession, relay_id: int) -> tuple[Egress, ...]:
    """In the order of their ids, so that the same data give the same files."""
    statement = (
        select(EgressIp, EgressPool.name)
        .join(EgressPool, EgressIp.pool_id == EgressPool.id)
        .where(EgressIp.relay_id == relay_id)
        .order_by(EgressIp.id)
    )
    return tuple(_egress(row, pool_name) for row, pool_name in session.execute(statement))


def _egress(row: EgressIp, pool_name: str) -> Egress:
    return Egress(
        number=row.id,
        address=row.address,
        helo_name=row.helo_name,
        pool_id=row.pool_id,
        pool_name=pool_name,
        is_quarantined=row.state is EgressState.QUARANTINED,
        is_warming=row.state is EgressState.WARMING,
    )


def _hostname(host: str, egress: tuple[Egress, ...]) -> str:
    """Within a tunnel the relay is often set up by its address; then its first IP lends the name. A host that ends in a
    number is an address in whatever notation."""
    name = host.lower().rstrip(".")
    if is_host_name(name) and not name.rpartition(".")[2].isdigit():
        return name
    return egress[0].helo_name if egress else name
