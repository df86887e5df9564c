"""What ``flask campaign certificate`` says: the sums of one that was made, or what is wrong with one that is checked."""

from pathlib import Path

from flask_babel import gettext as _

from app.commands.terminal import pairs, refuse, say
from app.current import current_settings
from app.extensions import db
from app.flow import certificate
from app.flow.certificate import CertificateProblem
from app.web.campaigns.statuses import delivery_name


def say_certified(campaign_id: int, out: Path, as_json: bool) -> None:
    try:
        summary = certificate.write_directory(db.session, current_settings(), campaign_id, out)
    except CertificateProblem as problem:
        refuse(problem.code, _("Esta campaña todavía no tiene destinatarios: no hay nada que certificar."), as_json)
    rows = [(_("Planificados"), summary["planned"])]
    rows += [(delivery_name(name), number) for name, number in summary["by_status"].items()]
    rows += [(_("Definitivo"), _("sí") if summary["is_final"] else _("no: todavía puede cambiar"))]
    rows += [(_("Clave pública"), summary["public_key"])]
    say(summary, as_json, pairs(rows))


def say_verified(made: Path, public_key: str | None, as_json: bool) -> None:
    own = certificate.public_key_text(certificate.signing_key(current_settings()).public_key())
    findings = certificate.verify(made, public_key or own)
    if findings:
        sentence = _("El certificado no es válido.")
        text = "\n".join([sentence, *findings])
        refuse("certificate_invalid", sentence, as_json, text=text, findings=findings)
    say({"valid": True}, as_json, _("El certificado es válido: la firma y las sumas concuerdan."))
