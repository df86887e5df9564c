"""One campaign of a ministry that doesn't exist, to be varied by tests."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any

from app.mail.compose import CompiledCampaign, Content, Mailing, Recipient
from app.mail.dkim import DkimSigner, KeyKind, KeyPair, generate_key
from app.mail.html import UnsubscribeFooter
from app.mail.tracking_urls import TrackingUrls

DOMAIN = "boletin.example.gob.pe"
KEY = b"installation key of the tests, 32+ bytes"
SENT_AT = datetime(2026, 3, 14, 15, 9, 26, tzinfo=UTC)
HTML = (
    "<html><body><p>Estimado {{ nombre }}, hay una feria en {{ ciudad }}.</p>"
    '<p><a href="https://example.pe/feria?a=1&amp;b=2">Ver la feria</a></p></body></html>'
)


def content(**changes: Any) -> Content:
    fields: dict[str, Any] = {
        "subject": "Feria laboral para {{ nombre }}",
        "from_name": "Dirección de Empleo",
        "from_email": f"ferias@{DOMAIN}",
        "html": HTML,
        "text": "",
        "reply_to": (f"consultas@{DOMAIN}",),
    }
    return Content(**{**fields, **changes})


def mailing(**changes: Any) -> Mailing:
    fields: dict[str, Any] = {
        "campaign_id": 77,
        "token_key": KEY,
        "tracking": TrackingUrls(f"https://enlaces.{DOMAIN}"),
        "return_path_domain": f"rebotes.{DOMAIN}",
        "list_id": f"ferias.{DOMAIN}",
        "list_name": "Ferias laborales",
        "feedback_id": "77:panel1:boletin:chaski",
        "footer": UnsubscribeFooter("Recibe este correo porque se inscribió.", "Darse de baja"),
    }
    return Mailing(**{**fields, **changes})


def campaign(**changes: Any) -> CompiledCampaign:
    return CompiledCampaign(content(**changes), mailing())


def recipient(
    *,
    seq: int = 5,
    email: str = "rosa@example.pe",
    name: str = "Rosa Huamán",
    fields: Mapping[str, str] | None = None,
) -> Recipient:
    return Recipient(seq, email, name, fields if fields is not None else {"ciudad": "Ayacucho"})


@cache
def key_pair(kind: KeyKind) -> KeyPair:
    return generate_key(kind)


def signer(kind: KeyKind = KeyKind.RSA) -> DkimSigner:
    return DkimSigner(DOMAIN, kind.value, key_pair(kind).private_pem)


def records() -> dict[str, str]:
    return {f"{kind.value}._domainkey.{DOMAIN}": key_pair(kind).public_record for kind in KeyKind}
