"""The queue agent's way over HTTPS, attacked: other relays' keys, old listings that come again, outcomes that nobody ordered."""

# ruff: noqa: F401, F811  # the fixtures of the flow's tests, imported and asked for

import json
import zlib

import pytest
from sqlalchemy import text

from app.flow import relay_keys
from app.flow.relay_queue import commands, figures
from app.flow.relay_queue.figures import QueueFilter
from app.mail.postfix_queue import Listing, read_listing
from app.mail.queue_report import MAX_PACKED_BYTES, pack
from app.models import QueueAction
from tests import factories, ledger
from tests.flow.relay_queue.conftest import campaign, queued, sender_of, tell

PATHS = ("next", "listing", "outcomes", "trouble")


@pytest.fixture
def key(session, relay):
    return relay_keys.make_key(session, relay.id)


@pytest.fixture
def post(client, relay, key):
    def posted(path, told=b"{}", *, with_key=key, relay_id=relay.id):
        body = told if isinstance(told, bytes) else json.dumps(told).encode()
        headers = {"Authorization": f"Bearer {with_key}"}
        return client.post(f"/api/relay/{relay_id}/queue/{path}", data=body, headers=headers)

    return posted


@pytest.fixture
def listing(queued, campaign):
    def made(*seqs):
        return read_listing([queued(campaign, seq) for seq in seqs], most=1000)

    return made


def mails(session, relay):
    session.rollback()
    return figures.figures(session, relay.id, QueueFilter()).mails


def ordered(session, relay, action=QueueAction.DELETE):
    command = commands.propose(session, relay.id, action, chosen=QueueFilter())
    commands.confirm(session, relay.id, command.id)
    return command


def test_agent_tells_takes_and_reports(post, session, relay, campaign, listing):
    first = post("next").json
    assert first["order"] is None and len(first["turn"]) == 32
    assert post("listing", pack(first["turn"], listing(1, 2, 3))).json == {"mails": 3, "unreadable": 0}
    assert mails(session, relay) == 3
    command = ordered(session, relay)
    order = post("next").json["order"]
    assert (order["command"], order["action"], len(order["mails"])) == (command.id, "delete", 3)
    done = {"command": command.id, "outcomes": {one[0]: "done" for one in order["mails"]}}
    assert post("outcomes", done).status_code == 200
    assert post("next").json["order"] is None
    session.rollback()
    assert list(ledger.statuses_of(session, campaign).values()) == ["failed"] * 3 + ["accepted"] * 3


def test_old_listing_that_comes_again_changes_nothing(post, session, relay, listing):
    old = pack(post("next").json["turn"], listing(1, 2, 3))
    assert post("listing", old).status_code == 200
    assert post("listing", pack(post("next").json["turn"], listing(4))).status_code == 200
    for _ in range(2):
        answer = post("listing", old)
        assert (answer.status_code, answer.json) == (409, {"error": "not_its_turn"})
    assert mails(session, relay) == 1, "the newer one stands"


def test_listing_without_its_turn_is_none(post, session, relay, listing):
    assert post("listing", pack("", listing(1))).status_code == 409, "before any turn was given out"
    turn = post("next").json["turn"]
    for guess in ("", "0" * 32, turn[:-1], turn.upper() + "x"):
        assert post("listing", pack(guess, listing(1))).status_code == 409
    assert mails(session, relay) == 0
    assert post("next").json["turn"] == turn, "asking twice uses nothing up"


@pytest.mark.parametrize("path", PATHS)
def test_wrong_key_opens_nothing_and_a_key_only_its_own_relay(post, path, session, relay, listing, other_panel):
    other = factories.relay(session, other_panel, 2526)
    foreign = relay_keys.make_key(session, other.id)
    assert post(path, with_key="chaski_relay_" + "a" * 43).status_code == 401
    assert post(path, with_key="").status_code == 401
    assert post(path, with_key=foreign).status_code == 403
    assert session.scalar(text("SELECT count(*) FROM relay_queue")) == 0


def test_key_of_another_relay_neither_sees_nor_settles_orders(
    post, session, relay, campaign, tell, queued, other_panel
):
    tell(queued(campaign, 1), queued(campaign, 2))
    command = ordered(session, relay)
    other = factories.relay(session, other_panel, 2526)
    foreign = relay_keys.make_key(session, other.id)
    assert post("next", with_key=foreign, relay_id=other.id).json["order"] is None
    forged = {"command": command.id, "outcomes": {"QUEUE0001": "done", "QUEUE0002": "done"}}
    assert post("outcomes", forged, with_key=foreign, relay_id=other.id).status_code == 200
    session.rollback()
    assert set(ledger.statuses_of(session, campaign).values()) == {"accepted"}
    assert commands.next_order(session, relay.id) is not None


def test_outcomes_of_what_nobody_confirmed_or_ordered_change_nothing(post, session, relay, campaign, tell, queued):
    tell(*(queued(campaign, seq) for seq in (1, 2)))
    proposal = commands.propose(session, relay.id, QueueAction.DELETE, queue_ids=["QUEUE0001"])
    post("outcomes", {"command": proposal.id, "outcomes": {"QUEUE0001": "done"}})
    command = commands.propose(session, relay.id, QueueAction.DELETE, queue_ids=["QUEUE0002"])
    commands.confirm(session, relay.id, command.id)
    post("outcomes", {"command": command.id, "outcomes": {"QUEUE0001": "done"}})
    post("outcomes", {"command": 99, "outcomes": {"QUEUE0001": "done"}})
    session.rollback()
    assert set(ledger.statuses_of(session, campaign).values()) == {"accepted"}


def test_report_that_comes_again_takes_nothing_back(post, session, relay, campaign, tell, queued):
    tell(queued(campaign, 1))
    command = ordered(session, relay)
    for outcome in ("held", "done", "held", "gone", "done"):
        assert post("outcomes", {"command": command.id, "outcomes": {"QUEUE0001": outcome}}).status_code == 200
    session.rollback()
    assert commands.recent(session, relay.id)[0].outcomes == {"done": 1}
    assert ledger.statuses_of(session, campaign)[1] == "failed"


@pytest.mark.parametrize(
    "path, body",
    [
        ("listing", b"x"), ("listing", zlib.compress(b"{}\n")), ("outcomes", b"["), ("outcomes", b"[]"), ("outcomes", b"{}"),
        ("outcomes", b'{"command": 1, "outcomes": {"ALL": "done"}}'), ("outcomes", b'{"command": true, "outcomes": {}}'),
        ("outcomes", b'{"command": 99999999999, "outcomes": {}}'), ("outcomes", b"[" * 50_000), ("trouble", b"{}"),
        ("trouble", b"\xff"),
    ],
)  # fmt: skip
def test_what_can_not_be_read_is_refused(post, path, body):
    assert post(path, body).status_code == 400


def test_more_than_may_come_at_once_is_refused(post):
    assert post("listing", b"x" * (MAX_PACKED_BYTES + 1)).status_code == 413
    assert post("outcomes", b" " * 200_000).status_code == 413


def test_trouble_shows_until_the_next_listing(post, session, relay):
    assert post("trouble", {"problem": "no_postfix", "detail": "postqueue is not here"}).status_code == 200
    assert figures.state(session, relay.id) is None, "nothing is known of the queue yet"
    told = text("SELECT problem, problem_detail FROM relay_queue")
    assert tuple(session.execute(told).one()) == ("no_postfix", "postqueue is not here")
    post("listing", pack(post("next").json["turn"], Listing()))
    session.rollback()
    assert tuple(session.execute(told).one()) == ("", "")
