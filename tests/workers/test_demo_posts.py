"""The demo posts: numbers, licences, the shape of the day, and that the pipeline reads them."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Literal, cast

import pytest

from pipeline.errors import Unreadable
from pipeline.media import CleanMedia, MediaCleaner, MediaError, RawMedia
from pipeline.platforms import DECODERS
from pipeline.post import Post
from pipeline.topics import MAX_RECORD_BYTES
from workers import demo_posts
from workers.demo_posts import DemoRecord, stored
from workers.demo_posts.day import BURST_SECONDS, BURST_START
from workers.demo_posts.stored import StoredPost

DAY = date(2026, 1, 31)
MIDNIGHT = datetime(2026, 1, 31, tzinfo=UTC)
FOLDER = Path(demo_posts.__file__).parent


@pytest.fixture(scope="module")
def posts() -> list[StoredPost]:
    return stored.read()


@pytest.fixture(scope="module")
def records() -> list[DemoRecord]:
    return demo_posts.demo_records(DAY)


def decode(record: DemoRecord) -> Post:
    """As ingest does; a post, since the demo sends nothing else."""
    post = DECODERS[record.topic.removeprefix("posts.raw.")](record.value)
    assert isinstance(post, Post)
    return post


def test_enough_of_each(posts: list[StoredPost]) -> None:
    languages = Counter(post.lang for post in posts)
    assert languages["en"] + languages["zh"] == len(posts) >= 3_000
    assert min(languages.values()) >= 1_400
    with_media = Counter(medium.kind for post in posts for medium in post.media)
    assert with_media["image"] >= 100
    assert with_media["audio"] >= 50
    assert len({post.id for post in posts}) == len(posts)
    assert len({post.text for post in posts}) == len(posts)


def source_of(post: StoredPost) -> str:
    found = re.match(r"[a-z]+/(?:eng|chn)?", post.id)
    assert found is not None, post.id
    return found[0]


def test_every_source_has_its_licence_in_the_readme(posts: list[StoredPost]) -> None:
    readme = (FOLDER / "README.md").read_text()
    rows = [line for line in readme.splitlines() if re.match(r"\| `[a-z]+/", line)]
    counts = Counter(source_of(post) for post in posts)
    for source, count in counts.items():
        [row] = [row for row in rows if row.startswith(f"| `{source}")]
        assert "Apache-2.0" in row or "CC BY 4.0" in row
        assert f"| {count:,} " in row
    assert {source.split("/")[0] for source in counts} == {"goemotions", "brighter", "cped"}


def test_folder_is_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.glob("*") if path.is_file()) < 5_000_000


def test_nothing_personal(posts: list[StoredPost]) -> None:
    personal = re.compile(r"@\w|https?:|www\.|\S@\S+\.\S|\d{7,}|\[NAME\]")
    assert [post.text for post in posts if personal.search(post.text)] == []


def test_numbers_are_as_announced(records: list[DemoRecord]) -> None:
    good, broken = set(), []
    repeats = 0
    for record in records:
        if b"/malformed/" in record.key:
            broken.append(record.key)
        elif (record.topic, record.key, record.value) in good:
            repeats += 1
        else:
            good.add((record.topic, record.key, record.value))
    assert demo_posts.expected() == {
        "records": len(records),
        "posts": len(good),
        "duplicates": repeats,
        "malformed": len(broken),
    }
    assert repeats >= 20
    assert len(set(broken)) == len(broken) >= 12
    assert len({key for _, key, _ in good}) == len(good)


def test_the_pipeline_reads_every_good_record(
    records: list[DemoRecord], posts: list[StoredPost]
) -> None:
    texts = {post.text for post in posts}
    for record in records:
        if b"/malformed/" in record.key:
            continue
        post = decode(record)
        assert post.id.encode() == record.key
        assert post.text in texts
        assert MIDNIGHT <= post.created_at < MIDNIGHT + timedelta(days=1)
        assert len(record.value) < MAX_RECORD_BYTES
    topics = Counter(record.topic for record in records)
    assert topics.keys() == {"posts.raw.weathervane", "posts.raw.bluesky"}
    assert 0.25 < topics["posts.raw.bluesky"] / len(records) < 0.4


def test_the_pipeline_reads_no_malformed_record(records: list[DemoRecord]) -> None:
    reasons = set()
    with MediaCleaner() as cleaner:
        for record in records:
            if b"/malformed/" not in record.key:
                continue
            try:
                [medium] = decode(record).media
            except Unreadable as error:
                reasons.add(str(error))
                continue
            [answer] = cleaner.clean([raw(medium.kind, medium.data)])
            assert isinstance(answer, MediaError), record.key
            assert "cut off" in answer.reason
            reasons.add(answer.reason)
    assert len(reasons) >= 10


def raw(kind: str, data: bytes | None) -> RawMedia:
    assert data
    return RawMedia(cast(Literal["image", "audio"], kind), data)


def test_all_media_can_be_cleaned(posts: list[StoredPost]) -> None:
    media = [medium for post in posts for medium in post.media]
    with MediaCleaner() as cleaner:
        answers = cleaner.clean([raw(medium.kind, medium.data) for medium in media])
    assert [answer for answer in answers if not isinstance(answer, CleanMedia)] == []
    assert all(medium.alt for medium in media)


def test_records_come_in_order_and_are_the_same_each_time(records: list[DemoRecord]) -> None:
    times = [record.at for record in records]
    assert times == sorted(times)
    assert times[0] >= MIDNIGHT
    assert times[-1] < MIDNIGHT + timedelta(days=1)
    assert demo_posts.demo_records(DAY) == records


def test_until_turns_the_day_and_keeps_the_ids(records: list[DemoRecord]) -> None:
    until = MIDNIGHT + timedelta(hours=9, minutes=30)
    turned = demo_posts.demo_records(DAY, until)
    assert until - timedelta(days=1) < turned[0].at
    assert turned[-1].at <= until
    assert {record.key for record in turned} == {record.key for record in records}
    assert len(turned) == len(records)
    ids = {decode(record).id for record in turned if b"/malformed/" not in record.key}
    assert len(ids) == demo_posts.expected()["posts"]


def test_another_run_has_other_ids(records: list[DemoRecord]) -> None:
    other = demo_posts.demo_records(DAY, run="b7")
    assert len(other) == len(records)
    assert {record.key for record in other}.isdisjoint(record.key for record in records)
    ids = {decode(record).id.encode() for record in other if b"/malformed/" not in record.key}
    assert ids <= {record.key for record in other}


def test_languages_sleep_at_their_own_night(posts: list[StoredPost]) -> None:
    hours = {lang: Counter[int]() for lang in ("en", "zh")}
    for post in posts:
        if not post.burst:
            hours[post.lang][int(post.second // 3600)] += 1
    for lang, night in (("en", (7, 8, 9, 10)), ("zh", (18, 19, 20, 21))):
        asleep = sum(hours[lang][hour] for hour in night) / 4
        assert asleep < 0.35 * hours[lang].total() / 24


def test_one_burst_of_anger(posts: list[StoredPost]) -> None:
    windows = Counter(int(post.second // BURST_SECONDS) for post in posts)
    [(burst, volume), (_, next_volume)] = windows.most_common(2)
    assert burst == BURST_START // BURST_SECONDS
    usual = (len(posts) - volume) / (86_400 / BURST_SECONDS - 1)
    assert 6 < volume / usual < 10
    assert next_volume < 2 * usual
    angry = [
        "anger" in post.emotions
        for post in posts
        if BURST_START <= post.second < BURST_START + BURST_SECONDS
    ]
    assert sum(angry) / len(angry) > 0.75
