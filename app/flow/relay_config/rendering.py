"""A plan becomes text, by the templates in ``deploy/``. The same plan gives the same bytes."""

import dataclasses
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from shlex import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from app.flow.relay_config import succession, tunnel
from app.flow.relay_config.plan import RelayChoices, RelayPlan, TunnelEnds, checked, one_line, postfix_network
from app.mail.egress_header import EGRESS_HEADER

TEMPLATES = Path(__file__).resolve().parents[3] / "deploy"
POSTFIX_FILES = ("main.cf", "master.cf", "egress_header_checks", "drop_egress_header", "sasl/smtpd.conf")
CHOICES_FILE = "chaski.json"
MADE_BY = "flask relay render"


def render_all(plan: RelayPlan) -> dict[str, str]:
    """Path below the output directory -> text."""
    postfix = {f"postfix/{name}": text for name, text in render_postfix(plan).items()}
    return postfix | tunnel.render_tunnel(plan, template) | {"README.md": template("postfix/README.md", plan)}


def render_postfix(plan: RelayPlan) -> dict[str, str]:
    """Path below Postfix' configuration directory -> text. Raises :class:`RelayConfigProblem`."""
    checked(plan)
    texts = {name: template(f"postfix/{name}", plan) for name in POSTFIX_FILES}
    return texts | {CHOICES_FILE: choices_text(plan)}


def template(name: str, plan: RelayPlan, **more: object) -> str:
    """One template (``name`` without its ending) with the plan and whatever else it needs."""
    return (
        _environment()
        .get_template(f"{name}.j2")
        .render(
            plan=plan,
            choices=plan.choices,
            header=EGRESS_HEADER,
            default=succession.default_egress(plan.egress),
            heir_of=lambda egress: succession.heir_of(egress, plan.egress),
            **more,
        )
    )


def choices_text(plan: RelayPlan) -> str:
    facts = {"made_by": MADE_BY, "relay": plan.name, "choices": dataclasses.asdict(plan.choices)}
    return json.dumps(facts, ensure_ascii=False, indent=2, sort_keys=True) + "\n"


def choices_of(text: str) -> RelayChoices | None:
    """What was chosen when the file was made; None where it is none of ours. Nothing of it is trusted: what can't stand
    in a file is refused when the plan is checked."""
    try:
        told = json.loads(text)
        chosen = dict(told["choices"])
        if told["made_by"] != MADE_BY:
            return None
        ends = chosen.pop("tunnel")
        submitters = tuple(map(str, chosen.pop("submitters")))
        texts = {name: str(value) for name, value in chosen.items()}
        return RelayChoices(submitters=submitters, tunnel=TunnelEnds(**ends) if ends else None, **texts)
    except (ValueError, KeyError, TypeError):
        return None


def regular(address: str) -> str:
    """An address as a POSIX regular expression: in IPv4 the dot is the only character with a meaning, in IPv6 none is."""
    return address.replace(".", "\\.")


@cache
def _environment() -> Environment:
    # These are configuration files, no HTML; what stands in them was checked by the plan.
    environment = Environment(  # noqa: S701
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: Mapping[str, object] = {
        "one_line": one_line,
        "network": postfix_network,
        "regular": regular,
        "quote": quote,
    }
    environment.filters.update(filters)
    return environment
