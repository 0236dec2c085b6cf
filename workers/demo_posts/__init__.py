"""One day of real posts for the demo: where they come from stands in the README of this folder."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from workers.demo_posts.malformed import malformed
from workers.demo_posts.render import DemoRecord, Edition, moment, render
from workers.demo_posts.stored import StoredPost, read

__all__ = ["DemoRecord", "demo_records", "expected"]

DUPLICATES = 20
_REPUBLISHED_AFTER = timedelta(minutes=40)
_HALF_A_DAY = timedelta(hours=12)


def demo_records(day: date, until: datetime | None = None, run: str = "") -> list[DemoRecord]:
    """The records of the day in the order in which they are sent: the same ones for the same day.

    With `until` (an aware time on that day), what would come later is dated to the day before, at
    the same time of day: the 24 hours then end at `until`. The ids do not depend on it. They do
    depend on `run`, so that a day that is sent again under another name is counted again.
    """
    last = until or moment(day, 86_400)
    edition = Edition(day, run)
    posts = read()
    good = [render(post, edition, _dated(post, day, last)) for post in posts]
    good.sort(key=lambda record: record.at)
    again = [_again(record) for record in _repeated(good)]
    broken = malformed(posts, edition, last)
    return sorted([*good, *again, *broken], key=lambda record: record.at)


def expected() -> dict[str, int]:
    """What `demo_records` holds: distinct posts, exact repeats, unreadable records."""
    posts = read()
    edition = Edition(date(2026, 1, 1))
    broken = len(list(malformed(posts, edition, moment(edition.day, 86_400))))
    return {
        "records": len(posts) + DUPLICATES + broken,
        "posts": len(posts),
        "duplicates": DUPLICATES,
        "malformed": broken,
    }


def _dated(post: StoredPost, day: date, last: datetime) -> datetime:
    """When the post is written. The burst falls into the second half of what ends at `last`: what
    is usual has to be seen before it can be news.
    """
    at = moment(day, post.second)
    at = at if at <= last else at - timedelta(days=1)
    return at + _HALF_A_DAY if post.burst and at < last - _HALF_A_DAY else at


def _repeated(good: list[DemoRecord]) -> list[DemoRecord]:
    """Evenly spread, and early enough for the repeat to fall within the same 24 hours."""
    latest = good[-1].at - _REPUBLISHED_AFTER
    early = [record for record in good if record.at < latest]
    return early[:: len(early) // DUPLICATES][:DUPLICATES]


def _again(record: DemoRecord) -> DemoRecord:
    return DemoRecord(record.topic, record.key, record.value, record.at + _REPUBLISHED_AFTER)
