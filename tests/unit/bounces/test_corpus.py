"""Every message of the corpus means what the corpus says."""

import pytest

from app.mail.bounces import classify_message
from tests.unit.bounces.corpus.reading import RECIPIENT, Sample, replies, samples

SAMPLES = samples()


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_recipient_kind_and_reason_of_each_corpus_message(sample: Sample):
    found = tuple((feedback.recipient, feedback.kind, feedback.reason) for feedback in classify_message(sample.raw))
    assert found == sample.expected


def test_corpus_has_three_hundred_messages_over_forty_systems():
    assert len({sample.raw for sample in SAMPLES}) >= 300
    assert len({reply.system for reply in replies()}) >= 40


def test_other_line_ends_mean_the_same():
    for sample in SAMPLES[::7]:
        expected = [feedback[:3] for feedback in sample.expected]
        for line_end in (b"\r\n", b"\r"):
            found = classify_message(sample.raw.replace(b"\r\n", b"\n").replace(b"\n", line_end))
            assert [(each.recipient, each.kind, each.reason) for each in found] == expected, sample.name


def test_an_mbox_line_before_the_headers_changes_nothing():
    sample = SAMPLES[0]
    (found,) = classify_message(b"From MAILER-DAEMON Thu Nov 12 10:00:00 2026\n" + sample.raw)
    assert (found.recipient, found.kind) == (RECIPIENT, "hard")


def test_a_thousand_messages_take_seconds():
    """A flood of bounces after a campaign must not become a backlog: well under 50 ms each."""
    import time

    started = time.process_time()
    for sample in SAMPLES[:300]:
        classify_message(sample.raw)
    assert time.process_time() - started < 15
