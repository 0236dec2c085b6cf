"""Finding the record that a transaction fails for, without a broker."""

from __future__ import annotations

import math
import random

import pytest
from kafka import TopicPartition

from pipeline.isolation import LONGEST_WAIT, ROOMS, Isolation

A, B = TopicPartition("in", 0), TopicPartition("in", 1)


class Broker:
    """Two partitions whose bad records are refused at so many attempts each."""

    def __init__(self, bad: dict[TopicPartition, set[int]], attempts: int, records: int) -> None:
        self.now = 0.0
        self.isolation = Isolation(lambda: self.now)
        self.bad = bad
        self.attempts = attempts
        self.records = records
        self.at = dict.fromkeys((A, B), 0)
        self.passes = 0
        self.letters: list[tuple[TopicPartition, int]] = []
        self.good = 0
        self.stuck: set[TopicPartition] = set()

    def step(self, most: int = 500) -> bool:
        """One transaction; whether there was anything to do."""
        piece = self.isolation.next()
        held = set(self.isolation.waiting())
        places = [piece.place] if piece else [p for p in (A, B) if p not in held]
        taken: dict[TopicPartition, list[int]] = {}
        for place in places:
            end = min(self.records, piece.end if piece else self.records)
            offsets = [*range(self.at[place], end)][: most - sum(map(len, taken.values()))]
            if offsets:
                taken[place] = offsets
        if not taken:
            return False
        self.passes += 1
        found = [(p, o) for p, at in taken.items() for o in at if o in self.bad[p]]
        alone = sum(map(len, taken.values())) == 1
        culprit = self.isolation.culprit(*found[0]) if alone and found else None
        room = culprit.attempt if culprit else 0
        if found and not (alone and room >= self.attempts and found[0][0] not in self.stuck):
            self.isolation.failed(taken, ValueError("no"))
            return True
        if found:
            self.letters += found
        else:
            self.good += sum(map(len, taken.values()))
        ends = {place: at[-1] + 1 for place, at in taken.items()}
        self.at |= ends
        self.isolation.passed(ends)
        return True


@pytest.mark.parametrize("count", [1, 2, 7, 40])
def test_bad_records_are_found_in_few_transactions(count: int) -> None:
    rng = random.Random(count)
    bad = {A: set(rng.sample(range(500), count)), B: {3}}
    broker = Broker(bad, attempts=1, records=500)
    while broker.step():
        pass
    assert broker.at == {A: 500, B: 500}
    assert sorted(broker.letters) == sorted((p, o) for p, found in bad.items() for o in found)
    assert broker.good == 1000 - count - 1
    assert broker.passes <= (count + 1) * (2 * math.log2(500) + 2) + 6
    assert not broker.isolation


def test_a_record_that_nobody_takes_an_answer_for_holds_its_own_partition() -> None:
    broker = Broker({A: {250}, B: set()}, attempts=len(ROOMS) - 1, records=500)
    broker.stuck.add(A)
    for _ in range(200):
        broker.step()
    assert broker.at == {A: 250, B: 500}
    assert {p: c.offset for p, c in broker.isolation.waiting().items()} == {A: 250}
    for _ in range(3):
        broker.now += LONGEST_WAIT + 1
        before = broker.passes
        while broker.step():
            pass
        # It is tried with all that it has again, since a topic that is mended takes it.
        assert broker.passes - before == len(ROOMS)
    broker.stuck.clear()
    broker.now += LONGEST_WAIT + 1
    while broker.step():
        pass
    assert broker.letters == [(A, 250)]
    assert broker.at == {A: 500, B: 500}


def test_partitions_that_went_to_another_member_are_forgotten() -> None:
    isolation = Isolation()
    isolation.failed({A: [1, 2], B: [5]}, ValueError("no"))
    isolation.keep({B})
    assert [piece.place for piece in isolation._pieces] == [B]
