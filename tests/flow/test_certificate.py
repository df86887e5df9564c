"""The certificate adds up, is of one moment, and any change to it is found."""

import io
import json
import threading
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app.extensions import db
from app.flow import certificate
from app.models import CampaignStatus
from tests import factories, ledger
from tests.fixtures.app import log_in
from tests.fixtures.laws import arrange

STATUSES = [
    "accepted", "delivered", "bounced", "failed", "skipped:suppressed", "skipped:cancelled", "accepted", "unknown",
    "planned", "deferred",
]  # fmt: skip


@pytest.fixture
def campaign(session, panel):
    row = factories.campaign(session, panel, name="Feria «única»")
    ledger.freeze(session, row, STATUSES, reply_text="2.0.0 Ok: queued as 4XyzBC1dQzv5", reply_code=250)
    return row


@pytest.fixture
def key(settings) -> str:
    return certificate.public_key_text(certificate.signing_key(settings).public_key())


@pytest.fixture
def made(session, settings, campaign, tmp_path) -> Path:
    certificate.write_directory(session, settings, campaign.id, tmp_path / "c")
    return tmp_path / "c"


def summary_of(directory: Path):
    return json.loads((directory / certificate.SUMMARY).read_bytes())


def test_planned_is_the_sum_of_everything(made, key):
    told = summary_of(made)
    assert told["planned"] == len(STATUSES) == sum(told["by_status"].values())
    assert told["by_status"]["skipped"] == sum(told["skipped_by_reason"].values()) == 2
    assert told["agrees"] and not told["is_final"]
    assert certificate.verify(made, key) == []


def test_each_accepted_recipient_stands_with_its_queue_id(made):
    lines = [json.loads(line) for line in (made / certificate.RECIPIENTS).read_text().splitlines()]
    assert [line["number"] for line in lines] == list(range(1, len(STATUSES) + 1))
    assert {line["queue_id"] for line in lines if line["status"] == "accepted"} == {"4XyzBC1dQzv5"}
    assert summary_of(made)["accepted_without_queue_id"] == 0


@pytest.mark.parametrize(
    "reply, queue_id",
    [
        ("found_at_relay:ABCDEF", "ABCDEF"),
        ("settled_as_sent", None),
        ("2.0.0 Ok: queued as ABCDEF12", "ABCDEF12"),
        ("", None),
    ],
)
def test_queue_id_is_told_where_the_relay_gave_one(reply, queue_id):
    assert certificate.queue_id_of(reply) == queue_id


def test_finished_campaign_is_final(session, settings, campaign, panel, tmp_path):
    other = factories.campaign(session, panel)
    ledger.freeze(session, other, ["accepted", "bounced"], status=CampaignStatus.FINISHED)
    told = certificate.write_directory(session, settings, other.id, tmp_path)
    assert told["is_final"] and told["accepted_without_reply"] == 1


def change_one_status(directory: Path) -> None:
    path = directory / certificate.RECIPIENTS
    path.write_bytes(path.read_bytes().replace(b'"bounced"', b'"accepted"', 1))


def drop_a_line(directory: Path) -> None:
    path = directory / certificate.RECIPIENTS
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def swap_two_lines(directory: Path) -> None:
    path = directory / certificate.RECIPIENTS
    first, second, *rest = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([second, first, *rest]))


def change_the_summary(directory: Path) -> None:
    path = directory / certificate.SUMMARY
    path.write_bytes(path.read_bytes().replace(b'"bounced": 1', b'"bounced": 0'))


def lose_the_signature(directory: Path) -> None:
    (directory / certificate.SIGNATURE).unlink()


def write_nonsense(directory: Path) -> None:
    (directory / certificate.RECIPIENTS).write_bytes(b"[" * 100_000 + b'\n{"status": []}\n\xff\n')


def empty_the_recipients(directory: Path) -> None:
    (directory / certificate.RECIPIENTS).write_bytes(b"")


@pytest.mark.parametrize(
    "attack, words",
    [
        (change_one_status, "sums: by_status"), (drop_a_line, "sums: planned"), (swap_two_lines, "line 1: has the number 2"),
        (change_the_summary, "signature"), (lose_the_signature, "unreadable"), (write_nonsense, "is no recipient"),
        (empty_the_recipients, "sha256"),
    ],
)  # fmt: skip
def test_every_change_is_found_and_named(made, key, attack, words):
    attack(made)
    findings = certificate.verify(made, key)
    assert any(words in one for one in findings), findings


def test_certificate_of_another_installation_is_refused(made, settings):
    other = certificate.public_key_text(certificate.Ed25519PrivateKey.generate().public_key())
    assert "signature" in certificate.verify(made, other)[0]
    assert certificate.verify(made, "no key")[0].startswith("signature")


def test_certificate_is_of_one_moment_while_outcomes_arrive(app, session, settings, panel, tmp_path, monkeypatch):
    """Every moment of the ledger has as many accepted as failed; a certificate that mixes two moments has not."""
    row = factories.campaign(session, panel)
    ledger.freeze(session, row, ["accepted", "failed"] * 500, batch_size=50)
    campaign_id, engine = row.id, db.engine
    session.commit()
    monkeypatch.setattr(certificate, "FETCH_ROWS", 10)
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            with Session(engine) as own:
                arrange(own)
                own.execute(
                    text(
                        "UPDATE delivery SET status = CASE WHEN status = 'failed' THEN 'accepted' ELSE 'failed' END"
                        "::delivery_status WHERE campaign_id = :id"
                    ),
                    {"id": campaign_id},
                )
                own.execute(text("UPDATE batch SET accepted = failed, failed = accepted"))
                own.commit()

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for number in range(8):
            told = certificate.write_directory(session, settings, campaign_id, tmp_path / str(number))
            assert told["by_status"]["accepted"] == told["by_status"]["failed"] == 500 and told["agrees"]
    finally:
        stop.set()
        thread.join()


def test_batches_that_disagree_are_told(session, settings, campaign, tmp_path, key):
    session.execute(text("UPDATE batch SET accepted = accepted + 1"))
    session.commit()
    certificate.write_directory(session, settings, campaign.id, tmp_path)
    assert "ledger" in certificate.verify(tmp_path, key)[0]


def test_memory_does_not_grow_with_the_recipients(session, settings, panel, tmp_path, key):
    row = factories.campaign(session, panel)
    ledger.freeze(session, row, ["accepted"])
    session.execute(
        text(
            """
            INSERT INTO delivery (frozen_on, campaign_id, seq, contact_id, panel_id, email, status, reply_text)
            SELECT frozen_on, campaign_id, n, 9000000 + n, panel_id, 'p' || n || '@example.pe', 'accepted', repeat('x', 100)
            FROM delivery, generate_series(2, 60000) n WHERE campaign_id = :id AND seq = 1
            """
        ),
        {"id": row.id},
    )
    session.commit()
    tracemalloc.start()
    told = certificate.write_directory(session, settings, row.id, tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert told["planned"] == 60_000 and told["file"]["bytes"] > 15_000_000
    assert peak < 12_000_000, "no more than some fetched rows at a time"


def test_campaign_without_recipients_has_no_certificate(session, settings, panel, tmp_path):
    with pytest.raises(certificate.CertificateProblem):
        certificate.write_directory(session, settings, factories.campaign(session, panel).id, tmp_path)


def test_download_is_a_zip_that_verifies_and_leaves_no_transaction_open(
    client, bob, campaign, panel, tmp_path, key, session
):
    log_in(client, bob)
    answer = client.get(f"/p/{panel.slug}/campaigns/{campaign.id}/certificate.zip")
    assert answer.status_code == 200 and answer.mimetype == "application/zip"
    zipfile.ZipFile(io.BytesIO(answer.data)).extractall(tmp_path)
    assert certificate.verify(tmp_path, key) == []


def test_command_makes_and_checks_it(app, campaign, tmp_path):
    runner = app.test_cli_runner()
    made = runner.invoke(args=["campaign", "certificate", str(campaign.id), "--out", str(tmp_path / "x"), "--json"])
    assert made.exit_code == 0 and json.loads(made.output)["planned"] == len(STATUSES)
    checked = runner.invoke(args=["campaign", "certificate", "--verify", str(tmp_path / "x")])
    assert checked.exit_code == 0 and "válido" in checked.output
    change_one_status(tmp_path / "x")
    checked = runner.invoke(args=["campaign", "certificate", "--verify", str(tmp_path / "x"), "--json"])
    assert checked.exit_code == 1 and "sha256" in checked.output + str(checked.stderr)
    assert runner.invoke(args=["campaign", "certificate", str(campaign.id)]).exit_code == 2
