"""The frontier: a moment is passed once every stage has handled what had arrived by then."""

from __future__ import annotations

from kafka import TopicPartition

from workers.monitor.frontier import STUCK_SECONDS, Frontier, Look, Stage

NEVER = float("-inf")


class Bench:
    """Three stages of two partitions."""

    def __init__(self) -> None:
        self.frontier = Frontier()
        self.ends = [[0, 0] for _ in range(3)]
        self.done = [[0, 0] for _ in range(3)]

    def look(self, at: float) -> float:
        stages = []
        for stage, name in enumerate(("ingest", "infer", "combine")):
            places = [TopicPartition(name, number) for number in range(2)]
            stages.append(
                Stage(
                    name,
                    dict(zip(places, self.ends[stage], strict=True)),
                    dict(zip(places, self.done[stage], strict=True)),
                )
            )
        self.frontier.look(Look(at, stages))
        return self.frontier.passed


def test_with_nothing_to_do_the_moment_of_the_look_is_passed() -> None:
    bench = Bench()
    assert bench.frontier.passed == NEVER
    assert bench.look(1) == 1
    assert bench.look(2) == 2
    assert bench.frontier.behind(3) == (0, "")


def test_a_mark_goes_through_every_stage_with_what_was_before_it() -> None:
    bench = Bench()
    bench.ends[0][1] = 5
    assert bench.look(1) == NEVER
    assert bench.frontier.behind(4) == (3, "ingest")
    bench.done[0][1], bench.ends[1][0] = 5, 4
    assert bench.look(2) == NEVER, "it is before infer now"
    assert bench.frontier.behind(4) == (3, "infer")
    bench.done[1][0], bench.ends[2] = 4, [3, 1]
    bench.ends[0][1] = 6
    assert bench.look(3) == NEVER
    bench.done[2] = [3, 1]
    assert bench.look(4) == 2, "what came at 3 is in no mark before"


def test_what_comes_later_does_not_hold_a_mark() -> None:
    bench = Bench()
    bench.ends[0] = [10, 10]
    bench.look(1)
    for at in range(2, 400):
        bench.done[0] = [at * 10 - 10] * 2
        bench.ends[0] = [at * 10] * 2
        assert bench.look(at) == at - 1


def test_a_stage_that_is_away_is_waited_for_however_long() -> None:
    bench = Bench()
    bench.look(0)
    for minute in range(1, 600):
        bench.ends[0] = bench.done[0] = [minute] * 2
        bench.ends[1] = [minute] * 2
        assert bench.look(minute * 60) == 0
    bench.done[1] = [300, 300]
    bench.look(36_000)
    assert 0 < bench.frontier.passed <= 300 * 60, "some of the marks were kept"
    bench.done[1] = [599, 599]
    assert bench.look(36_001) == 36_001


def test_one_partition_that_nobody_reads_is_waited_for_while_others_move_for_ten_minutes() -> None:
    bench = Bench()
    bench.look(0)
    bench.ends[1] = [1, 1]
    minute = 0
    while not bench.frontier.stuck:
        minute += 1
        bench.ends[1][0] = minute + 1
        bench.done[1][0] = minute
        bench.look(minute * 60)
    assert STUCK_SECONDS <= minute * 60 <= STUCK_SECONDS + 60
    assert {place.partition for place in bench.frontier.stuck} == {1}
    bench.done[1][0] = bench.ends[1][0]
    assert bench.look(STUCK_SECONDS + 100) == STUCK_SECONDS + 100
    bench.done[1][1], bench.ends[1][1] = 1, 9
    assert bench.look(STUCK_SECONDS + 120) == NEVER, "what passed without it is void"
    assert not bench.frontier.stuck
    bench.done[1][1] = 9
    assert bench.look(STUCK_SECONDS + 121) == STUCK_SECONDS + 121


def test_other_partitions_are_begun_anew() -> None:
    bench = Bench()
    bench.look(1)
    bench.frontier.forget()
    assert bench.frontier.passed == NEVER
    assert bench.look(2) == 2
