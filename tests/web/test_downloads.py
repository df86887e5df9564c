"""Files that people download: nothing is held open while they are sent."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from app.extensions import db
from app.flow import slices
from tests import factories
from tests.flow.test_imports import analysed
from tests.web.pages import Person

PEOPLE = 2300


@pytest.fixture(autouse=True)
def small_slices(monkeypatch):
    monkeypatch.setattr(slices, "SLICE_ROWS", 400)


@pytest.fixture
def everybody(session, panel):
    row = factories.mailing_list(session, panel)
    factories.contacts(session, panel, row, PEOPLE)
    return row


def people_of_a_list(session, settings, panel, everybody):
    return f"/lists/{everybody.id}/people.csv"


def rejected_rows(session, settings, panel, everybody):
    job = analysed(session, settings, panel, "correo\nana@example.pe\n" + "malo\n" * PEOPLE)
    return f"/imports/{job.id}/rejects.csv"


def recipients_of_a_campaign(session, settings, panel, everybody):
    campaign = factories.campaign(session, panel, everybody, frozen_on=datetime.now(UTC).date())
    session.execute(
        text(
            "INSERT INTO delivery (frozen_on, campaign_id, seq, contact_id, panel_id, email, status) "
            "SELECT :day, :campaign, id, id, panel_id, email, 'planned' FROM contact"
        ),
        {"day": campaign.frozen_on, "campaign": campaign.id},
    )
    session.commit()
    return f"/campaigns/{campaign.id}/recipients.csv"


@pytest.mark.parametrize("file", [people_of_a_list, rejected_rows, recipients_of_a_campaign])
def test_no_transaction_is_open_while_a_slow_browser_takes_its_time(
    client, session, settings, panel, alice, everybody, file
):
    path = file(session, settings, panel, everybody)
    answer = Person(client, alice).get(path, buffered=False)
    assert answer.status_code == 200
    blocks, open_meanwhile = [], []
    for block in answer.iter_encoded():
        blocks.append(block)
        open_meanwhile.append(db.engine.pool.checkedout())
    assert len(blocks) > 3
    assert set(open_meanwhile) == {0}
    assert b"".join(blocks).count(b"\r\n") == PEOPLE + 1
