"""Messages spread over IPs by weight, whatever the weights, the caps and the sizes of the chunks."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from app.flow.egress.choosing import EgressCandidate
from app.flow.egress.spreading import spread, turn_order
from app.models import EgressState

WEIGHTS = st.lists(st.integers(1, 40), min_size=1, max_size=12)


def ips(weights, state=EgressState.ACTIVE):
    return [EgressCandidate(7 * n + 1, f"192.0.2.{n}", weight, None, state, None) for n, weight in enumerate(weights)]


def no_limit(candidates):
    return dict.fromkeys((one.id for one in candidates), None)


@given(WEIGHTS, st.lists(st.integers(0, 200), min_size=1, max_size=40))
def test_over_a_long_run_every_share_is_within_one_message_of_its_weight(weights, chunks):
    candidates, position, sent = ips(weights), 0, dict.fromkeys(range(1, 200), 0)
    total = 0
    for count in chunks:
        result = spread(count, candidates, room=no_limit(candidates), position=position)
        assert sum(result.given.values()) == count
        assert result.waiting == 0
        position, total = result.position, total + count
        for ip_id, number in result.given.items():
            sent[ip_id] += number
        for one in candidates:
            assert abs(sent[one.id] - Fraction(total * one.weight, sum(weights))) < 1


@given(WEIGHTS, st.integers(0, 10**6), st.integers(0, 500))
def test_from_wherever_it_goes_on_every_share_is_within_two(weights, position, count):
    """After the number was lost, or while others take turns in between."""
    candidates = ips(weights)
    result = spread(count, candidates, room=no_limit(candidates), position=position)
    for one in candidates:
        assert abs(result.given.get(one.id, 0) - Fraction(count * one.weight, sum(weights))) < 2


@st.composite
def crowds(draw):
    candidates = [
        EgressCandidate(
            number, f"192.0.2.{number}", draw(st.integers(1, 1000)), None, draw(st.sampled_from(EgressState)), None
        )
        for number in draw(st.lists(st.integers(1, 99), unique=True, max_size=10))
    ]
    room = {one.id: draw(st.one_of(st.none(), st.integers(-3, 60))) for one in candidates}
    return candidates, room


@given(crowds(), st.integers(0, 300), st.integers(0, 10**9))
def test_nothing_is_lost_no_cap_is_passed_and_quarantine_sends_nothing(crowd, count, position):
    candidates, room = crowd
    result = spread(count, candidates, room=room, position=position)
    assert sum(result.given.values()) + result.waiting == count
    assert all(number > 0 for number in result.given.values())
    open_ones = [one for one in candidates if one.state is not EgressState.QUARANTINED]
    assert result.given.keys() <= {one.id for one in open_ones}
    for ip_id, number in result.given.items():
        assert room[ip_id] is None or number <= room[ip_id]
    if result.waiting:
        assert all(room[one.id] is not None for one in open_ones)
        assert sum(result.given.values()) == sum(max(0, room[one.id]) for one in open_ones)
    assert result.position == position + count - result.waiting


@given(crowds(), st.integers(0, 300), st.integers(0, 10**6), st.randoms())
def test_the_order_of_the_candidates_does_not_matter(crowd, count, position, random):
    candidates, room = crowd
    expected = spread(count, candidates, room=room, position=position)
    random.shuffle(candidates)
    assert spread(count, candidates, room=room, position=position) == expected


@given(st.lists(st.integers(1, 30), min_size=3, max_size=8), st.lists(st.integers(0, 100), max_size=30))
def test_the_part_of_a_full_ip_goes_to_the_others_by_their_weights(weights, chunks):
    candidates, position = ips(weights), 0
    full, *others = candidates
    room = no_limit(candidates) | {full.id: 0}
    sent = dict.fromkeys((one.id for one in others), 0)
    for count in chunks:
        result = spread(count, candidates, room=room, position=position)
        position = result.position
        for ip_id, number in result.given.items():
            sent[ip_id] += number
    for one in others:
        fair = Fraction(sum(chunks) * one.weight, sum(weights[1:]))
        assert abs(sent[one.id] - fair) < 1


def test_room_that_is_not_told_is_none():
    candidates = ips([1, 1])
    assert spread(4, candidates, room={1: None}).given == {1: 4}
    assert spread(4, candidates, room={}).waiting == 4
    assert spread(4, [], room={}).waiting == 4


@settings(max_examples=5)
@given(st.lists(st.integers(1, 1000), min_size=48, max_size=48))
def test_a_cycle_gives_each_of_48_ips_its_weight(weights):
    order = turn_order(tuple(weights))
    assert {order.count(at) * sum(weights) for at in range(48)} >= {len(order) * weights[0]}
    assert all(order.count(at) * sum(weights) == len(order) * weights[at] for at in range(48))
