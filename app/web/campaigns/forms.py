"""The campaign's form: what the flow refuses is shown beside the field it is about, and the author's text is kept."""

import re
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask_babel import lazy_gettext as _l
from flask_wtf import FlaskForm
from wtforms import (
    DateTimeLocalField,
    HiddenField,
    IntegerField,
    SelectField,
    SelectMultipleField,
    StringField,
    TextAreaField,
)
from wtforms.validators import Optional
from wtforms.widgets import CheckboxInput, ListWidget

from app.flow.campaign_content import PACE_FIELDS, CampaignContent, ContentProblem
from app.models import Campaign, MailingList, MailStream, SendingDomain
from app.web.campaigns.sentences import content_sentence
from app.web.campaigns.statuses import stream_name
from app.web.share_field import ShareField

SEPARATORS = re.compile(r"[\s,;]+")


class CampaignForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF has no types
    name = StringField(_l("Nombre de la campaña"))
    subject = StringField(_l("Asunto"))
    preheader = StringField(_l("Texto de vista previa"))
    from_name = StringField(_l("Nombre del remitente"))
    from_local = StringField(_l("Dirección del remitente"))
    from_domain = SelectField(_l("Dominio del remitente"), validate_choice=False)
    reply_to = StringField(_l("Responder a"))
    list_ids = SelectMultipleField(
        _l("Listas"),
        coerce=int,
        validate_choice=False,
        widget=ListWidget(prefix_label=False),
        option_widget=CheckboxInput(),
    )
    html = TextAreaField(_l("HTML"))
    text = TextAreaField(_l("Texto propio"))
    rate_per_hour = IntegerField(_l("Límite de correos por hora"), validators=[Optional()])
    canary_percent = IntegerField(_l("Enviar primero a una parte (por ciento)"), validators=[Optional()])
    canary_minutes = IntegerField(_l("Minutos que espera el resto"), validators=[Optional()])
    canary_bounced_percent = ShareField(_l("Rebotados (por ciento)"), validators=[Optional()])
    canary_deferred_percent = ShareField(_l("Diferidos (por ciento)"), validators=[Optional()])
    canary_complained_percent = ShareField(_l("Reclamos (por ciento)"), validators=[Optional()])
    stream = SelectField(_l("Prioridad"), coerce=MailStream, default=MailStream.BULK)
    read_at = HiddenField()

    def offer(self, domains: list[SendingDomain], lists: list[MailingList]) -> None:
        """The choices there are."""
        names = [row.domain for row in domains]
        chosen = self.from_domain.data
        if chosen and chosen not in names:
            names.append(chosen)
        self.from_domain.choices = [(name, f"@{name}") for name in names]
        self.stream.choices = [(one.value, stream_name(one)) for one in MailStream]
        self.list_ids.choices = [(row.id, row.name) for row in lists]

    def content(self) -> CampaignContent:
        local = (self.from_local.data or "").strip()
        texts = {name: self[name].data or "" for name in ("name", "subject", "preheader", "from_name", "reply_to")}
        return CampaignContent(
            **texts,
            from_email=local if "@" in local or not local else f"{local}@{self.from_domain.data or ''}",
            html=self.html.data or "",
            text=self.text.data or "",
            list_ids=tuple(self.list_ids.data or ()),
            rate_per_hour=self.rate_per_hour.data,
            stream=self.stream.data or MailStream.BULK,
            canary_percent=self.canary_percent.data,
            canary_minutes=self.canary_minutes.data,
            canary_bounced_percent=self.canary_bounced_percent.data,
            canary_deferred_percent=self.canary_deferred_percent.data,
            canary_complained_percent=self.canary_complained_percent.data,
        )

    def read_moment(self) -> datetime | None:
        """When the author's copy was saved last; None where the form doesn't say so legibly."""
        try:
            return datetime.fromisoformat(self.read_at.data or "")
        except ValueError:
            return None

    def show(self, problems: list[ContentProblem]) -> None:
        """Hang each problem on the field where it can be mended."""
        for problem in problems:
            field = self["from_local" if problem.field == "from_email" else problem.field]
            field.errors = [*field.errors, content_sentence(problem)]


def form_values(campaign: Campaign) -> dict[str, Any]:
    """A stored campaign as the form shows it."""
    local, _at, domain = campaign.from_email.rpartition("@")
    names = ("name", "subject", "preheader", "from_name", "reply_to", "html", "text", *PACE_FIELDS)
    return {
        **{name: getattr(campaign, name) for name in names},
        "from_local": local,
        "from_domain": domain or None,
        "list_ids": [row.id for row in campaign.lists],
        "read_at": campaign.updated_at.isoformat(),
    }


def next_hour(now: datetime, zone: str) -> datetime:
    """What a schedule is offered first, in the zone's wall clock: a full hour, at least half an hour away."""
    local = now.astimezone(ZoneInfo(zone)).replace(tzinfo=None) + timedelta(minutes=30)
    return local.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)


class ScheduleForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF has no types
    at = DateTimeLocalField(_l("Fecha y hora"), format=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])


class ProofForm(FlaskForm):  # type: ignore[misc]  # Flask-WTF has no types
    addresses = StringField(_l("Enviar la prueba a"))
    contact_id = HiddenField()

    def wanted(self) -> list[str]:
        return [part for part in SEPARATORS.split(self.addresses.data or "") if part]

    def contact(self) -> int | None:
        """Whose values the proof shows."""
        typed = self.contact_id.data or ""
        return int(typed) if typed.isdecimal() and len(typed) < 19 else None
