"""Which change a channel is told next, by the clock that is passed in."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.pipeline.alerts import an_alert, cleared, updated
from workers.notify.outcome import Refused, refused_by_status, retry_seconds_of
from workers.notify.queue import CHANNEL_SECONDS, DIGEST_CHANGES, Job, JobQueue

NOW = datetime(2026, 11, 18, 14, 0, tzinfo=UTC)


def job(name: str, state: int = 1) -> Job:
    alert = an_alert(name)
    states = [alert, updated(alert, 7), cleared(alert)]
    return Job("place", states[state - 1], lambda: None)


def queued(*jobs: Job) -> JobQueue:
    queue = JobQueue()
    for each in jobs:
        queue.add(each)
    return queue


def said_no(retry_after: float | None = None) -> Refused:
    return Refused("500", answered=True, retry_after=retry_after)


def test_a_refused_alert_waits_and_the_others_go() -> None:
    bad, good = job("bad"), job("good")
    queue = queued(bad, good)
    assert queue.batch(0, 1) == [bad]
    queue.failed([bad], 0, said_no())
    assert queue.batch(0, 1) == [good]
    queue.remove([good])
    assert queue.batch(0.9, 1) == []
    assert queue.wait(0.9) == pytest.approx(0.1)
    assert queue.batch(1, 1) == [bad]


def test_a_new_alert_goes_before_those_that_were_refused() -> None:
    bad = [job(f"bad{n}") for n in range(5)]
    queue = queued(*bad)
    now = 0.0
    for _ in range(60):
        now += queue.wait(now) or 0
        queue.failed(queue.batch(now, 1), now, said_no())
    fresh = job("fresh")
    queue.add(fresh)
    waited = queue.wait(now) or 0
    assert waited <= CHANNEL_SECONDS
    assert queue.batch(now + waited, 1) == [fresh]


def test_changes_of_one_alert_keep_their_order() -> None:
    fired, grown, over, other = job("a"), job("a", 2), job("a", 3), job("b")
    queue = queued(fired, grown, over, other)
    queue.failed([fired], 0, said_no())
    assert queue.batch(0, 1) == [other]
    queue.remove([other])
    assert queue.batch(0, DIGEST_CHANGES) == []
    assert queue.batch(1, DIGEST_CHANGES) == [fired]
    queue.remove([fired])
    assert queue.batch(1, DIGEST_CHANGES) == [grown, over]


def test_a_digest_with_a_poisoned_alert_is_taken_apart() -> None:
    jobs = [job(f"a{n}") for n in range(32)]
    bad, told, sendings, now = jobs[13], set[str](), 0, 0.0
    queue = queued(*jobs)
    while len(told) < 31:
        now += queue.wait(now) or 0
        batch = queue.batch(now, DIGEST_CHANGES)
        sendings += 1
        if bad in batch:
            queue.failed(batch, now, said_no())
        else:
            told |= {each.alert.id for each in batch}
            queue.remove(batch)
            queue.succeeded()
    assert sendings <= 14
    assert now < 60


def test_a_receiver_that_is_away_is_tried_ever_later_and_then_told_at_once() -> None:
    queue = queued(*(job(f"a{n}") for n in range(10)))
    now, tries = 0.0, 0
    while now < 600:
        now += queue.wait(now) or 0
        queue.failed(queue.batch(now, 1), now, Refused("no connection"))
        tries += 1
    assert tries < 40
    now += queue.wait(now) or 0
    first = queue.batch(now, 1)
    queue.remove(first)
    queue.succeeded()
    assert queue.count_due(now) == 9


def test_what_the_receiver_asks_for_is_kept() -> None:
    queue = queued(job("a"), job("b"))
    queue.failed(queue.batch(0, 1), 0, said_no(retry_after=25))
    assert queue.wait(0) == 25
    assert queue.batch(24.9, 1) == []
    assert len(queue.batch(25, 1)) == 1


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("25", 25.0),
        (" 0 ", 0.0),
        ("soon", None),
        ("-3", None),
        ("Wed, 18 Nov 2026 14:01:30 GMT", 90.0),
        ("Wed, 18 Nov 2026 13:00:00 GMT", 0.0),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert retry_seconds_of(value, NOW) == seconds


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 401, 403, 404, 405, 410, 413, 422])
def test_answers_that_would_come_again_are_final(status: int) -> None:
    assert refused_by_status("host", status, "", None).final


@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504])
def test_answers_that_may_change_are_tried_again(status: int) -> None:
    refused = refused_by_status("host", status, "busy\n now", "7", NOW)
    assert not refused.final
    assert refused.answered is (status in {408, 409, 425, 500})
    assert refused.retry_after == 7
    assert str(refused) == f"host answered {status}: busy now"
