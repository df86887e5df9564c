"""What one message costs: `python -m app.mail.benchmark`. The numbers in docs/performance.md come from here.

The mail is the one of DESIGN.md: 20 kB of HTML and text, 10 merge fields, 10 tracked links, an open pixel.
"""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from timeit import repeat

from app.mail.compose import CompiledCampaign, Content, Mailing, Recipient
from app.mail.dkim import DkimSigner, KeyKind, assemble, generate_key
from app.mail.html import UnsubscribeFooter
from app.mail.tokens import TokenMaker
from app.mail.tracking_urls import TrackingUrls

_DOMAIN = "boletin.example.gob.pe"
_FIELDS = ("nombre", "apellido", "ruc", "ciudad", "region", "sede", "fecha", "hora", "puesto", "codigo")
_VALUES = dict(
    zip(
        _FIELDS,
        ("Rosa", "Huamán Ñaupari", "20100000001", "Ayacucho", "Ayacucho", "Plaza de Armas", "14/03/2026",
         "09:00", "Auxiliar contable", "A-1024"),
        strict=True,
    )
)  # fmt: skip
_SENTENCE = "La feria reúne a empresas y personas que buscan empleo en todas las regiones del país. "
_SENT_AT = datetime(2026, 3, 14, 15, 9, 26, tzinfo=UTC)


def sample_campaign(kilobytes: int = 20) -> CompiledCampaign:
    """A campaign whose rendered body has about that many kilobytes, text and HTML together."""
    fields = "".join(f"<p>{field}: {{{{ {field} }}}}</p>\n" for field in _FIELDS)
    links = "".join(f'<p><a href="https://example.pe/feria/{n}">Feria {n}</a></p>\n' for n in range(10))
    paragraph = f'<p style="margin:0 0 16px">{_SENTENCE * 4}</p>\n'
    html = f"<html><body>{fields}{links}{paragraph * (kilobytes * 720 // (2 * len(paragraph)))}</body></html>"
    content = Content(
        subject="{{ nombre }}, hay una feria laboral en {{ ciudad }}",
        from_name="Dirección de Empleo",
        from_email=f"ferias@{_DOMAIN}",
        html=html,
    )
    return CompiledCampaign(content, _mailing())


def _mailing() -> Mailing:
    return Mailing(
        campaign_id=7,
        token_key=b"only for measuring, never for mail",
        tracking=TrackingUrls(f"https://enlaces.{_DOMAIN}"),
        return_path_domain=f"rebotes.{_DOMAIN}",
        list_id=f"ferias.{_DOMAIN}",
        list_name="Ferias laborales",
        feedback_id="7:panel1:boletin:chaski",
        footer=UnsubscribeFooter("Recibe este correo porque se inscribió.", "Darse de baja"),
    )


def _microseconds(step: Callable[[], object], number: int) -> float:
    """The median of five runs."""
    return sorted(repeat(step, number=number, repeat=5))[2] / number * 1e6


def measure(number: int = 2000) -> dict[str, float]:
    """Microseconds per message of each step; `body_bytes` is the size of what was measured."""
    campaign = sample_campaign()
    recipient = Recipient(1, "rosa@example.pe", "Rosa Huamán", _VALUES)
    message = campaign.render(recipient, _SENT_AT)
    keys = {kind: generate_key(kind).private_pem for kind in KeyKind}
    rsa, ed25519 = (DkimSigner(_DOMAIN, kind.value, keys[kind]) for kind in KeyKind)
    signature = rsa.sign(message.headers, message.body, 1)
    token = TokenMaker(_mailing().token_key, 7).token
    return {
        "body_bytes": len(message.body),
        "token": _microseconds(lambda: token(1), number),
        "render": _microseconds(lambda: campaign.render(recipient, _SENT_AT), number),
        "sign_rsa": _microseconds(lambda: rsa.sign(message.headers, message.body, 1), number),
        "sign_ed25519": _microseconds(lambda: ed25519.sign(message.headers, message.body, 1), number),
        "assemble": _microseconds(lambda: assemble(message.headers, [signature], message.body), number),
    }


def main() -> None:
    for step, value in measure().items():
        sys.stdout.write(f"{step:14}{value:10.1f}{'' if step == 'body_bytes' else ' µs'}\n")


if __name__ == "__main__":
    main()
