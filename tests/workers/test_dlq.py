"""Dead letters: counted, shown, sent back once, and kept when they do not match."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from kafka import TopicPartition

from pipeline.clients import consumer, producer
from pipeline.errors import Unreadable, WeathervaneError
from pipeline.reading import until_ends
from pipeline.records import dead_letter
from pipeline.settings import Settings, load_settings
from pipeline.topics import create_topics
from tests.pipeline.test_records import Consumed
from tests.waiting import until
from workers.dlq import Kind, Redriven, erase, kinds, redrive
from workers.tail import newest

pytestmark = pytest.mark.servers
RAW = "posts.raw.mastodon"
LETTERS = f"{RAW}.dlq"


@pytest.fixture(scope="module")
def settings(kafka: str) -> Settings:
    settings = load_settings(kafka=kafka, name="dlq-test")
    create_topics(settings)
    return settings


@pytest.fixture(autouse=True)
def letters(settings: Settings) -> Iterator[None]:
    """Five letters: three of one reason, two of another. What a test leaves is taken away."""
    with closing(producer(settings)) as sink:
        for number in range(5):
            record = Consumed(RAW, 0, number, 0, b"k%d" % number, b"v%d" % number, [("mine", b"1")])
            letter = dead_letter(record, Unreadable("not JSON" if number < 3 else "no id"))
            sink.send(letter.topic, key=letter.key, value=letter.value, headers=letter.headers)
        sink.flush()
    yield
    redrive(settings, LETTERS, None, dry_run=False)


def raw_records(settings: Settings, count: int) -> list[Any]:
    """The newest `count` records of the raw topic, once there are as many."""
    with closing(consumer(settings, None)) as source:
        source.subscribe([RAW])
        found: list[Any] = []

        def enough() -> bool:
            found.extend(r for rs in source.poll(timeout_ms=200).values() for r in rs)
            return len(found) >= count

        until(enough, f"{count} records are back")
        return sorted(found, key=lambda record: record.timestamp)[-count:]


def of_this_topic(settings: Settings) -> list[Kind]:
    return [kind for kind in kinds(settings) if kind.topic == LETTERS]


def test_letters_are_counted_by_reason(settings: Settings) -> None:
    assert of_this_topic(settings) == [Kind(LETTERS, "not JSON", 3), Kind(LETTERS, "no id", 2)]


def test_a_dry_run_moves_nothing(settings: Settings) -> None:
    assert redrive(settings, LETTERS, "NO ID", dry_run=True) == Redriven(2, 3)
    assert sum(kind.letters for kind in of_this_topic(settings)) == 5


def test_what_matches_goes_back_once_as_it_was_and_the_rest_stays(settings: Settings) -> None:
    assert redrive(settings, LETTERS, "no id", dry_run=False) == Redriven(2, 3)
    back = raw_records(settings, 2)
    assert sorted(r.key for r in back) == [b"k3", b"k4"]
    assert all(r.headers == [("mine", b"1")] for r in back)
    assert of_this_topic(settings) == [Kind(LETTERS, "not JSON", 3)]
    assert redrive(settings, LETTERS, "no id", dry_run=False) == Redriven(0, 3)
    assert redrive(settings, LETTERS, None, dry_run=False) == Redriven(3, 0)
    assert of_this_topic(settings) == []


def test_erased_letters_are_gone_and_the_others_stay(settings: Settings) -> None:
    redrive(settings, LETTERS, "no id", dry_run=False)
    # Of the two, one was redriven before, and what it was is there still.
    assert erase(settings, lambda letter: letter.key in (b"k1", b"k3")) >= 2
    assert of_this_topic(settings) == [Kind(LETTERS, "not JSON", 2)]
    with closing(consumer(settings, None)) as source:
        place = TopicPartition(LETTERS, 0)
        source.assign([place])
        source.seek_to_beginning(place)
        ends = source.end_offsets([place])
        left = [letter for batch in until_ends(source, ends) for letter in batch]
    assert [letter.key for letter in left] == [b"k0", b"k2"]
    assert all(dict(letter.headers)["mine"] == b"1" for letter in left)
    assert erase(settings, lambda letter: letter.key == b"k1") == 0


def test_letters_are_shown_whole(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    newest(settings, LETTERS, 2)
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 2
    assert '"reason":"no id"' in shown[0]
    assert '"value":"v4"' in shown[1]


def test_an_unknown_topic_is_named(settings: Settings) -> None:
    with pytest.raises(WeathervaneError, match=r"there is no topic posts\.raw\.nobody\.dlq"):
        redrive(settings, "posts.raw.nobody.dlq", None, dry_run=True)
