"""``flask campaign``: the same rules as the pages, one line of JSON, an exit code that scripts can trust."""

import json
from dataclasses import fields
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from app.flow.campaign_content import CampaignContent
from app.models import Campaign, CampaignStatus, MailStream, Proof
from tests import factories, ledger

FORM_FIELDS = [field.name for field in fields(CampaignContent)]


@pytest.fixture
def world(session, panel, settings):
    ledger.sending_domain_with_key(session, panel.id, settings=settings)
    people = factories.mailing_list(session, panel)
    factories.contact(session, panel, "ana@example.pe", people, name="Ana")
    return people


@pytest.fixture
def run(app):
    runner = app.test_cli_runner()

    def run(*arguments: str, code: int = 0):
        result = runner.invoke(args=["campaign", *map(str, arguments), "--json"])
        assert result.exit_code == code, result.output
        if code == 2:
            return result.output
        return json.loads(result.stderr if code else result.stdout)

    return run


@pytest.fixture
def html(tmp_path):
    file = tmp_path / "mensaje.html"
    file.write_text("<p>Hola {{ nombre }}, año 2027</p>", encoding="utf-8")
    return file


def creation(html, **changes) -> list[str]:
    options = {
        "panel": "empleo",
        "name": "Feria",
        "subject": "Hola {{ nombre }}",
        "from-email": "noticias@boletin.example.gob.pe",
        "from-name": "Bolsa",
        "html": str(html),
        "list": "Feria laboral",
        **changes,
    }
    return ["create", *(part for name, value in options.items() for part in (f"--{name}", value))]


def test_create_schedule_show_and_cancel(run, session, world, html):
    made = run(*creation(html))
    assert made["status"] == "draft"
    campaign = session.get(Campaign, made["campaign_id"])
    assert "año 2027" in campaign.html
    assert run("schedule", campaign.id)["status"] == "scheduled"
    assert run("show", campaign.id)["planned"] == 0
    assert run("cancel", campaign.id)["status"] == "cancelled"
    assert run("cancel", campaign.id, code=1)["error"] == "wrong_status"
    assert [row["campaign_id"] for row in run("list", "--panel", "empleo", "--status", "cancelled")] == [campaign.id]


def test_time_without_an_offset_is_the_panels(run, session, panel, world):
    campaign = factories.campaign(session, panel, world)
    local = (datetime.now(UTC) + timedelta(days=2)).replace(microsecond=0, tzinfo=None)
    run("schedule", campaign.id, "--at", local.isoformat())
    session.expire_all()
    assert campaign.scheduled_at == local.replace(tzinfo=UTC) + timedelta(hours=5)


def test_time_with_an_offset_is_taken_as_it_is(run, session, panel, world):
    campaign = factories.campaign(session, panel, world)
    at = (datetime.now(UTC) + timedelta(days=2)).replace(microsecond=0)
    run("schedule", campaign.id, "--at", at.isoformat())
    session.expire_all()
    assert campaign.scheduled_at == at


def test_refused_content_is_told_field_by_field_with_its_place(run, session, world, html):
    html.write_text("<p>\n{{ nada }}")
    answer = run(*creation(html, **{"from-email": "a@example.com"}), code=1)
    assert answer["error"] == "content"
    assert [(p["field"], p["code"], p["line"]) for p in answer["problems"]] == [
        ("from_email", "domain_not_allowed", 0),
        ("html", "unknown_field", 2),
    ]
    assert session.query(Campaign).count() == 0


def test_what_is_not_ready_is_not_scheduled(run, session, panel, world):
    campaign = factories.campaign(session, panel, world, subject="")
    assert run("schedule", campaign.id, code=1)["blockers"] == ["subject_missing"]


def test_past_is_refused(run, session, panel, world):
    campaign = factories.campaign(session, panel, world)
    assert run("schedule", campaign.id, "--at", "2020-01-01T00:00", code=1)["error"] == "past"


@pytest.mark.parametrize(
    "arguments",
    [
        ["list", "--panel", "nadie"],
        ["create", "--panel", "empleo"],
        ["schedule", "x"],
    ],
)
def test_wrong_use_is_exit_code_2(run, panel, arguments):
    run(*arguments, code=2)


def test_unknown_list_names_the_known_ones(run, world, html):
    assert "Feria laboral" in run(*creation(html, list="Otra"), code=2)


def test_unknown_campaign_is_exit_code_1(run, panel):
    assert run("show", 999, code=1)["error"] == "not_found"


def test_pause_and_resume(run, session, panel, world):
    campaign = factories.campaign(session, panel, world)
    ledger.freeze(session, campaign, ["planned", "accepted"])
    assert run("pause", campaign.id)["status_reason"] == "command"
    assert run("resume", campaign.id)["status"] == "sending"


def test_report_holds_all_counts(run, session, panel, world):
    campaign = factories.campaign(session, panel, world)
    ledger.freeze(session, campaign, ["accepted", "bounced", "skipped:suppressed"], status=CampaignStatus.FINISHED)
    answer = run("report", campaign.id)
    assert (answer["planned"], answer["accepted"], answer["bounced"], answer["skipped"]) == (3, 1, 1, 1)
    assert answer["skipped_by_reason"] == {"suppressed": 1}
    assert answer["links"] == []


def test_proofs_are_queued(run, session, panel, world):
    campaign = factories.campaign(session, panel, world)
    answer = run("proof", campaign.id, "--to", "yo@example.pe", "--contact", "ana@example.pe")
    assert [row["email"] for row in answer["proofs"]] == ["yo@example.pe"]
    assert session.query(Proof).one().contact_id is not None
    assert run("proof", campaign.id, "--to", "no", code=1)["error"] == "address_invalid"


def test_without_json_it_speaks_to_people(app, session, panel, world):
    result = app.test_cli_runner().invoke(args=["campaign", "show", "77"])
    assert result.exit_code == 1
    assert "No encontramos esa campaña" in result.stderr


@pytest.mark.parametrize(("settlement", "accepted"), [("sent", 2), ("again", 1)])
def test_deliveries_that_no_relay_can_tell_about_are_settled_once(run, session, panel, world, settlement, accepted):
    campaign = factories.campaign(session, panel, world)
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    ledger.freeze(session, campaign, ["accepted", "unknown"], relay_id=7, unknown_at=long_ago)
    told = run("settle", campaign.id, "--as", settlement)
    assert (told["campaign_id"], told["settled"]) == (campaign.id, 1)
    assert run("show", campaign.id)["accepted"] == accepted
    assert run("settle", campaign.id, "--as", settlement, code=1)["error"] == "nothing_unconfirmed"
    assert run("settle", 999, "--as", settlement, code=1)["error"] == "not_found"
    run("settle", campaign.id, "--as", "failed", code=2)


def test_complaint_is_noted_once_and_refused_for_a_stranger(run, session, panel, world):
    campaign = factories.campaign(session, panel, world)
    ledger.freeze(session, campaign, ["accepted"])
    contact_id = session.execute(text("SELECT id FROM contact WHERE email = 'ana@example.pe'")).scalar_one()
    session.execute(text("UPDATE delivery SET contact_id = :id"), {"id": contact_id})
    session.commit()
    assert run("complaint", campaign.id, "--email", "ANA@example.pe") == {
        "campaign_id": campaign.id, "seq": 1, "is_new": True,
    }  # fmt: skip
    assert not run("complaint", campaign.id, "--email", "ana@example.pe")["is_new"]
    assert "no recipient" in run("complaint", campaign.id, "--email", "otra@example.pe", code=2)
    assert session.execute(text("SELECT count(*) FROM event WHERE kind = 'complaint'")).scalar_one() == 1


def test_urgent_campaign_with_a_part_first_and_its_own_limits(run, session, world, html):
    made = run(
        *creation(
            html,
            **{"priority": "urgent", "rate-per-hour": "5000", "canary-percent": "5", "canary-minutes": "45",
               "canary-bounced-percent": "2.5", "canary-complained-percent": "0.1"},
        )
    )  # fmt: skip
    assert (made["priority"], made["rate_per_hour"]) == ("urgent", 5000)
    assert made["canary"] == {
        "percent": 5, "minutes": 45, "bounced_percent": 2.5, "deferred_percent": None, "complained_percent": 0.1,
        "stage": None, "until": None,
    }  # fmt: skip
    campaign = session.get(Campaign, made["campaign_id"])
    assert (campaign.stream, campaign.canary_bounced_percent) == (MailStream.URGENT, 2.5)


def test_limits_that_make_no_sense_are_refused_with_their_field(run, session, world, html):
    refused = run(*creation(html, **{"canary-percent": "51", "canary-deferred-percent": "101"}), code=1)
    assert {one["field"] for one in refused["problems"]} == {"canary_percent", "canary_deferred_percent"}
    run(*creation(html, priority="very"), code=2)


def test_help_of_create_names_everything_that_the_form_has(app):
    told = app.test_cli_runner().invoke(args=["campaign", "create", "--help"]).output
    named = {name.replace("list_ids", "list").replace("stream", "priority") for name in FORM_FIELDS}
    assert {name for name in named if f"--{name.replace('_', '-')}" not in told} == set()


def test_forecast_is_told_before_scheduling_and_with_it(run, session, panel, other_panel, world, app):
    campaign = factories.campaign(session, panel, world, rate_per_hour=1)
    theirs = factories.mailing_list(session, other_panel)
    factories.contacts(session, other_panel, theirs, 10)
    factories.campaign(session, other_panel, theirs, status=CampaignStatus.SCHEDULED, scheduled_at=datetime.now(UTC))
    told = run("forecast", campaign.id)["forecast"]
    assert (told["people"], told["limiting"]) == (1, "campaign_rate")
    ends_at = datetime.fromisoformat(told["ends_at"])
    assert abs(ends_at - datetime.now(UTC) - timedelta(hours=1)) < timedelta(minutes=1)
    assert [clash["panel"] for clash in told["clashes"]] == [other_panel.name]
    at = (datetime.now(UTC) + timedelta(days=2)).replace(microsecond=0)
    later = run("forecast", campaign.id, "--at", at.isoformat())["forecast"]
    assert (later["begins_at"], later["ends_at"]) == (at.isoformat(), (at + timedelta(hours=1)).isoformat())
    assert run("schedule", campaign.id, "--at", at.isoformat())["forecast"]["ends_at"] == later["ends_at"]
    assert run("forecast", campaign.id)["forecast"]["begins_at"] == at.isoformat()


def test_forecast_speaks_to_people_in_their_panels_time(app, session, panel, world):
    panel.timezone = "Asia/Tokyo"
    campaign = factories.campaign(session, panel, world, rate_per_hour=1)
    at = (datetime.now(UTC) + timedelta(days=9)).replace(hour=20, minute=30, second=0, microsecond=0)
    told = app.test_cli_runner().invoke(args=["campaign", "forecast", str(campaign.id), "--at", at.isoformat()])
    assert told.exit_code == 0, told.output
    assert "a las 06:30." in told.stdout
    assert "Lo que más frena es el límite por hora de la campaña." in told.stdout


def test_no_forecast_for_what_is_over(run, session, panel, world):
    campaign = factories.campaign(session, panel, world)
    run("cancel", campaign.id, code=1)
    ledger.freeze(session, campaign, ["accepted"], status=CampaignStatus.FINISHED)
    assert run("forecast", campaign.id, code=1)["error"] == "wrong_status"
