"""The fields that a panel's operators defined for its contacts."""

from dataclasses import dataclass

from jinja2 import TemplateError
from sqlalchemy import delete, func, or_, select
from sqlalchemy.exc import IntegrityError

from app.flow import emptying
from app.flow.campaign_content import TEMPLATE_PARTS
from app.flow.importing.claims import ENDED
from app.flow.importing.guess import FIELD_PREFIX, folded
from app.flow.problem import Problem
from app.flow.sessions import AnySession, rows_changed
from app.mail.merge_language import FIELD_KEY, TAKEN_KEYS
from app.mail.templates import fields_used
from app.models import Campaign, CampaignStatus, Contact, CustomField, FieldType, Import, RemovedField

OVER = (CampaignStatus.FINISHED, CampaignStatus.CANCELLED)


class FieldProblem(Problem):
    """``bad_key``, ``reserved_key``, ``taken_key``, ``emptying_key``, ``taken_label`` (label: the other's), ``in_use``
    (usage)."""


def of_panel(session: AnySession, panel_id: int) -> list[CustomField]:
    """In the order people see them."""
    statement = select(CustomField).where(CustomField.panel_id == panel_id)
    return list(session.scalars(statement.order_by(CustomField.position, CustomField.id)))


def create(session: AnySession, panel_id: int, *, key: str, label: str, type_: FieldType) -> CustomField:
    """A new field behind the others. Raises :class:`FieldProblem`. Commits."""
    if not FIELD_KEY.match(key):
        raise FieldProblem("bad_key")
    if key in TAKEN_KEYS:
        raise FieldProblem("reserved_key")
    _check_label(session, panel_id, label)
    last = session.scalar(select(func.max(CustomField.position)).where(CustomField.panel_id == panel_id))
    field = CustomField(panel_id=panel_id, key=key, label=label, type=type_, position=(last or 0) + 1)
    session.add(field)
    try:
        session.flush()
    except IntegrityError:
        session.rollback()
        raise FieldProblem("taken_key") from None
    # Asked after the insert, which waits for whoever deletes a field of this key.
    if emptying.is_going_on(session, panel_id, key):
        session.rollback()
        raise FieldProblem("emptying_key")
    session.commit()
    return field


def _check_label(session: AnySession, panel_id: int, label: str, but: CustomField | None = None) -> None:
    """Two fields that people read as the same would each get half of the values."""
    for other in of_panel(session, panel_id):
        if other is not but and folded(other.label) == folded(label):
            raise FieldProblem("taken_label", label=other.label)


def rename(session: AnySession, field: CustomField, label: str) -> None:
    """The label only: the key stands in templates. Raises ``taken_label``. Commits."""
    _check_label(session, field.panel_id, label, but=field)
    field.label = label
    session.commit()


def move(session: AnySession, field: CustomField, *, up: bool) -> None:
    """One place up or down; at the end of the row nothing happens. Commits."""
    fields = of_panel(session, field.panel_id)
    here = fields.index(field)
    there = here - 1 if up else here + 1
    if 0 <= there < len(fields):
        fields[here], fields[there] = fields[there], fields[here]
    for position, one in enumerate(fields, start=1):
        one.position = position
    session.commit()


@dataclass(frozen=True)
class Usage:
    """What a field holds, and who needs it."""

    contacts: int
    """With a value."""
    campaigns: list[Campaign]
    """Neither finished nor cancelled, and written with the field."""
    imports: list[Import]
    """Not ended, and one of their columns is the field: applied later, they would make it anew, as text."""

    @property
    def is_needed(self) -> bool:
        """Then it can't be deleted."""
        return bool(self.campaigns or self.imports)


def usage(session: AnySession, field: CustomField) -> Usage:
    holding = select(func.count()).where(Contact.panel_id == field.panel_id, Contact.fields.has_key(field.key))
    return Usage(session.scalars(holding).one(), _campaigns_with(session, field), _imports_into(session, field))


def _imports_into(session: AnySession, field: CustomField) -> list[Import]:
    going_on = select(Import).where(Import.panel_id == field.panel_id, Import.status.not_in(ENDED)).order_by(Import.id)
    return [one for one in session.scalars(going_on) if FIELD_PREFIX + field.key in one.mapping.values()]


def _campaigns_with(session: AnySession, field: CustomField) -> list[Campaign]:
    content = (getattr(Campaign, part) for part in TEMPLATE_PARTS)
    mentioning = (
        select(Campaign)
        .where(Campaign.panel_id == field.panel_id, Campaign.status.not_in(OVER))
        .where(or_(*(column.contains(field.key, autoescape=True) for column in content)))
        .order_by(Campaign.name, Campaign.id)
    )
    return [one for one in session.scalars(mentioning) if _needs(one, field.key)]


def _needs(campaign: Campaign, key: str) -> bool:
    try:
        return any(key in fields_used(source) for source in (getattr(campaign, part) for part in TEMPLATE_PARTS))
    except (ValueError, TemplateError):
        return True  # A draft that can't be read yet mentions it.


def remove(session: AnySession, field: CustomField) -> bool:
    """The field goes at once, and its values in all contacts with it: whether they are gone already, or the dispatcher
    does what a second was too short for. Raises ``in_use`` (usage) while somebody needs it. Commits."""
    needed = usage(session, field)
    if needed.is_needed:
        raise FieldProblem("in_use", usage=needed)
    panel_id, key = field.panel_id, field.key
    if rows_changed(session, delete(CustomField).where(CustomField.id == field.id)):  # Not by somebody else meanwhile.
        session.add(RemovedField(panel_id=panel_id, key=key))
    session.commit()
    emptying.empty(session)
    return not emptying.is_going_on(session, panel_id, key)
