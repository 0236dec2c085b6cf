"""The oracle catches what it is there for: a planted loss, double and wrong cell, and no more."""

from __future__ import annotations

import itertools
import json
import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.trials.oracle import Names, Verdict, audit, recomputed

pytestmark = pytest.mark.servers
START = datetime(2026, 3, 1, 12, tzinfo=UTC)
POSTS = 40
Record = tuple[bytes, bytes]


def event(number: int) -> dict[str, Any]:
    return {
        "id": f"weathervane:{number}",
        "created_at": (START + timedelta(seconds=7 * number)).isoformat(),
        "dominant": ["joy", "anger", "fear"][number % 3],
        "polarity": {"negative": 0.5, "neutral": 0.1, "positive": 0.4 + number % 2},
        "tracks": ["all", "brand"] if number % 5 == 0 else ["all"],
        "modalities": [] if number % 11 == 1 else ["text"],
        "abstained": number % 7 == 2,
    }


def field_of(number: int) -> str:
    """The field of the store that the event counts in."""
    body = event(number)
    if not body["modalities"]:
        return "u"
    if body["abstained"]:
        return "a"
    return f"j:{body['dominant']}|{'positive' if number % 2 else 'negative'}"


class Run:
    """A run that went well, made by hand in topics and keys of its own."""

    def __init__(self, kafka: str, url: str) -> None:
        name = f"oracle{secrets.token_hex(4)}"
        posts, scored, shed = (f"{name}.{part}" for part in ("posts", "scored", "shed"))
        self.names = Names((f"{name}.raw",), posts, scored, shed, name)
        self.kafka, self.url = kafka, url
        self.client = redis.Redis.from_url(url, decode_responses=True)
        admin = AdminClient({"bootstrap.servers": kafka})
        created_now = [self.names.raw[0], self.names.scored, self.names.shed, *self.names.letters]
        for created in admin.create_topics([NewTopic(t, 1, 1) for t in created_now]).values():
            created.result(20)
        self.producer = Producer({"bootstrap.servers": kafka})

    def send(
        self, topic: str, number: int, headers: dict[str, str] | None = None, **fields: object
    ) -> None:
        key = f"weathervane:{number}".encode()
        value = json.dumps(event(number) | fields).encode()
        self.producer.produce(topic, value, key, headers=list((headers or {}).items()))

    def letter(self, number: int, offset: int) -> None:
        """The dead letter of the raw record at `offset`."""
        about = {"topic": self.names.raw[0], "partition": "0", "offset": str(offset)}
        about["exception.message"] = "unreadable"
        headers = {f"__connect.errors.{name}": value for name, value in about.items()}
        self.send(self.names.letters[0], number, headers)

    def cell(self, level: str, start: int, track: str, joint: str, amount: int = 1) -> None:
        self.client.hincrby(f"{self.names.store}:{{p0}}:{level}:{start}:{track}", joint, amount)

    def note_of(self, number: int) -> None:
        """Count post `number` as shed, in every cell."""
        body = event(number)
        seconds = int(datetime.fromisoformat(body["created_at"]).timestamp())
        for track in body["tracks"]:
            for level, width in (("m", 60), ("h", 3600), ("d", 86_400)):
                self.cell(level, seconds - seconds % width, track, "shed")
            self.client.hincrby(f"{self.names.store}:{{p0}}:t:{track}", "shed", 1)
        self.client.hincrby(f"{self.names.store}:{{p0}}:shed", "posts", 1)

    def audit(self) -> Verdict:
        assert self.producer.flush(20) == 0
        return audit(self.kafka, self.url, self.names)


@pytest.fixture
def run(kafka: str, redis_url: str) -> Iterator[Run]:
    """Posts 0 to 39 were produced; 39 is a dead letter, 0 came twice, all else is counted once."""
    run = Run(kafka, redis_url)
    for number in range(POSTS):
        run.send(run.names.raw[0], number)
        if number < POSTS - 1:
            run.send(run.names.scored, number)
    run.letter(POSTS - 1, POSTS - 1)
    run.send(run.names.raw[0], 0)
    run.send(run.names.scored, 0)
    for number in range(POSTS - 1):
        body = event(number)
        seconds = int(datetime.fromisoformat(body["created_at"]).timestamp())
        for track, field in itertools.product(body["tracks"], (field_of(number), "n")):
            for level, width in (("m", 60), ("h", 3600), ("d", 86_400)):
                run.cell(level, seconds - seconds % width, track, field)
            run.client.hincrby(f"{run.names.store}:{{p0}}:t:{track}", field, 1)
    for field, amount in {"offset": POSTS, "events": POSTS - 1, "duplicates": 1}.items():
        run.client.hset(f"{run.names.store}:{{p0}}:position", field, str(amount))
    yield run
    run.client.close()


def test_a_run_that_went_well_is_exact(run: Run) -> None:
    verdict = run.audit()
    assert verdict.exact, verdict
    assert (verdict.produced, verdict.scored, verdict.duplicates) == (POSTS + 1, POSTS - 1, 1)
    assert verdict.letters == {f"weathervane:{POSTS - 1}": "unreadable"}


def test_what_was_shed_is_neither_lost_nor_double(run: Run) -> None:
    run.send(run.names.raw[0], POSTS + 1)
    run.send(run.names.shed, POSTS + 1)
    run.note_of(POSTS + 1)
    verdict = run.audit()
    assert verdict.exact, verdict
    assert (verdict.scored, verdict.shed) == (POSTS - 1, 1)


def test_a_record_that_cannot_be_read_is_lost_until_its_letter_is_there(run: Run) -> None:
    run.producer.produce(run.names.raw[0], b'{"id"', b"weathervane:broken")
    assert run.audit().lost == ["weathervane:broken"]


def lose(run: Run) -> None:
    run.send(run.names.raw[0], POSTS)


def score_twice(run: Run) -> None:
    run.send(run.names.scored, 7)
    run.client.hincrby(f"{run.names.store}:{{p0}}:position", "duplicates", 1)


def score_and_dead_letter(run: Run) -> None:
    run.letter(3, 3)


def dead_letter_twice(run: Run) -> None:
    run.letter(POSTS - 1, POSTS - 1)


def miscount(run: Run) -> None:
    run.cell("m", int(START.timestamp()), "all", "j:joy|negative")


def shed_what_was_scored(run: Run) -> None:
    run.send(run.names.shed, 3)
    run.note_of(3)


def shed_and_miscount(run: Run) -> None:
    run.send(run.names.raw[0], POSTS)
    run.send(run.names.shed, POSTS)


def weigh_what_was_not(run: Run) -> None:
    run.cell("t", 0, "all", "w:joy|negative", 250)


def count_what_was_never_scored(run: Run) -> None:
    run.cell("m", int(START.timestamp()) - 86_400, "all", "j:joy|negative")


def count_an_unread_post_as_a_mood(run: Run) -> None:
    start = datetime.fromisoformat(event(1)["created_at"])
    minute = int(start.timestamp()) // 60 * 60
    run.cell("m", minute, "all", "u", -1)
    run.cell("m", minute, "all", "j:joy|negative")


def forget_an_abstained_post(run: Run) -> None:
    run.client.hincrby(f"{run.names.store}:{{p0}}:t:all", "a", -1)


def shift_between_cells(run: Run) -> None:
    run.cell("h", int(START.timestamp()), "brand", "j:joy|negative", -1)
    run.cell("h", int(START.timestamp()), "brand", "j:joy|neutral")


def swap_two_versions(run: Run) -> None:
    for revision in (1, 2):
        run.send(run.names.raw[0], 7, revision=revision)
    for revision in (2, 1):
        run.send(run.names.scored, 7, revision=revision)
    run.client.hincrby(f"{run.names.store}:{{p0}}:position", "edited", 2)


def take_an_edit_for_a_duplicate(run: Run) -> None:
    for topic in (run.names.raw[0], run.names.scored):
        run.send(topic, 7, revision=1)
    run.client.hincrby(f"{run.names.store}:{{p0}}:position", "duplicates", 1)


def forget_a_duplicate(run: Run) -> None:
    run.client.hincrby(f"{run.names.store}:{{p0}}:position", "duplicates", -1)


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (lose, {"lost": 1}),
        (score_twice, {"double": 1}),
        (score_and_dead_letter, {"double": 1}),
        (dead_letter_twice, {"double": 1}),
        (miscount, {"wrong": 1}),
        (count_what_was_never_scored, {"wrong": 1}),
        (shift_between_cells, {"wrong": 2}),
        (forget_a_duplicate, {"wrong": 1}),
        (count_an_unread_post_as_a_mood, {"wrong": 2}),
        (forget_an_abstained_post, {"wrong": 1}),
        (shed_what_was_scored, {"double": 1}),
        # Its total and three buckets, for both of its tracks, and the count of the partition.
        (shed_and_miscount, {"wrong": 9}),
        (weigh_what_was_not, {"wrong": 1}),
        (take_an_edit_for_a_duplicate, {"wrong": 2}),
        (swap_two_versions, {"swapped": 1}),
    ],
)
def test_a_planted_error_is_caught(
    run: Run, plant: Callable[[Run], None], found: dict[str, int]
) -> None:
    plant(run)
    verdict = run.audit()
    assert not verdict.exact
    kinds = ("lost", "double", "wrong", "swapped")
    counted = {kind: len(getattr(verdict, kind)) for kind in kinds}
    assert {kind: count for kind, count in counted.items() if count} == found


class Event:
    """A message of `sentiment`, as far as the oracle looks at one."""

    def __init__(self, number: int, created: datetime, arrived: datetime) -> None:
        body = event(number) | {"created_at": created.isoformat()}
        self._value = json.dumps(body).encode()
        self._arrived = int(arrived.timestamp() * 1000)

    def value(self) -> bytes:
        return self._value

    def partition(self) -> int:
        return 0

    def timestamp(self) -> tuple[int, int]:
        return 2, self._arrived


def test_the_late_are_counted_and_a_post_from_the_future_makes_none_late() -> None:
    created = [0, -9, 180, 0, -11, -1440]
    events = [Event(n, START + timedelta(minutes=m), START) for n, m in enumerate(created)]
    assert recomputed(events)["late",] == 2
