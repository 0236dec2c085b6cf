"""Saving, loading, adding and removing series change no answer."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from pipeline.spikes import Detector, Signals, Tuning, of_counts

Floats = npt.NDArray[np.float64]
TICKS = 400


def counts(series: int, seed: int = 0) -> Floats:
    """Counts `(TICKS, series)` of different sizes, with a peak and some values missing."""
    random = np.random.default_rng(seed)
    values = random.poisson(np.linspace(3, 50, series), (TICKS, series)).astype(np.float64)
    values[250] += 200
    values[random.random(values.shape) < 0.05] = np.nan
    return values


def steps(detector: Detector, values: Floats, start: int, stop: int) -> list[Signals]:
    """Judge the ticks from `start` to before `stop`."""
    return [
        detector.step(np.full(values.shape[1], tick // 12 % 168), *of_counts(values[tick]))
        for tick in range(start, stop)
    ]


def same(one: list[Signals], other: list[Signals], rows: list[int] | slice) -> bool:
    """Whether `one` says of all its series what `other` says of `rows`."""
    names = ("score", "anomaly", "expected", "deviation", "spread")
    return all(
        np.array_equal(
            getattr(ours, name), getattr(theirs, name)[rows], equal_nan=name != "anomaly"
        )
        for ours, theirs in zip(one, other, strict=True)
        for name in names
    )


def test_a_loaded_detector_goes_on_as_the_saved_one() -> None:
    values, detector = counts(5), Detector(5)
    steps(detector, values, 0, 220)
    data = detector.save()
    expected = steps(detector, values, 220, TICKS)
    assert any(signals.anomaly.any() for signals in expected)
    assert same(steps(Detector.load(data), values, 220, TICKS), expected, slice(None))
    assert same(steps(Detector.load(data), values, 220, TICKS), expected, slice(None))
    assert len(data) / 5 < 1500


def test_saved_rows_are_those_series() -> None:
    values, detector = counts(5), Detector(5)
    steps(detector, values, 0, 220)
    data = detector.save(np.array([3, 1]))
    expected = steps(detector, values, 220, TICKS)
    assert same(steps(Detector.load(data), values[:, [3, 1]], 220, TICKS), expected, [3, 1])


def test_series_that_come_and_go_leave_the_others_alone() -> None:
    values, alone = counts(6), Detector(6)
    expected = steps(alone, values, 0, TICKS)
    detector = Detector(2)
    steps(detector, values[:, :2], 0, 100)
    saved = Detector(2)
    steps(saved, values[:, 2:4], 0, 100)
    detector.append(Detector.load(saved.save()))
    assert list(detector.add(2)) == [4, 5]
    assert detector.ticks.tolist()[4:] == [0, 0]
    assert same(steps(detector, values[:, :6], 100, 200), expected[100:200], slice(None)) is False
    detector.remove(np.array([0, 4, 5]))
    assert len(detector) == 3
    assert same(steps(detector, values[:, 1:4], 200, TICKS), expected[200:], [1, 2, 3])


def test_an_empty_detector_answers_and_takes_series() -> None:
    detector = Detector(0)
    assert len(detector.step(np.zeros(0, dtype=np.int64), np.zeros(0)).score) == 0
    assert list(Detector.load(detector.save()).add(2)) == [0, 1]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda data: b"", "no saved state"),
        (lambda data: b"json" + data[4:], "no saved state"),
        (lambda data: data[:4] + b"\x63" + data[5:], "version 99, expected"),
        (lambda data: data[:-1], "bytes, not"),
        (lambda data: data + b"\x00", "bytes, not"),
    ],
)
def test_bytes_that_are_no_state_are_refused(spoil: object, said: str) -> None:
    assert callable(spoil)
    with pytest.raises(ValueError, match=said):
        Detector.load(spoil(Detector(2).save()))


def test_the_version_stands_for_the_layout() -> None:
    layout = [(name, array.dtype.str, array.shape) for _, name, array in Detector(1).fields()]
    assert layout == [
        ("_low", "<f8", (1,)),
        ("_high", "<f8", (1,)),
        ("_grid", "|V128", (1,)),
        ("_first", "<i8", (1,)),
        ("_width", "<f8", (1,)),
    ] * 2 + [
        ("_day", "<f4", (24, 1)),
        ("_week", "<f4", (168, 1)),
        ("_day_visits", "|u1", (24, 1)),
        ("_week_visits", "|u1", (168, 1)),
        ("_level", "<f4", (1,)),
        ("_offset", "<f4", (1,)),
        ("_misses", "<f4", (2, 1)),
        ("_ticks", "<i4", (1,)),
        ("_hour", "<i2", (1,)),
        ("_sum", "<f8", (1,)),
        ("_count", "<i4", (1,)),
        ("_last", "<f8", (1,)),
        ("_unit", "<f8", (1,)),
        ("_height", "<f8", (1,)),
        ("_fade", "<f8", (1,)),
        ("_missed", "<f8", (1,)),
        ("_excess", "<f8", (1,)),
        ("_mean", "<f8", (1,)),
        ("_size", "<f8", (1,)),
        ("_height", "<f8", (1,)),
        ("_fade", "<f8", (1,)),
        ("_ticks", "<i4", (1,)),
    ]


def test_tuning_for_other_buckets_keeps_its_times() -> None:
    minute = Tuning().per(60)
    assert (minute.hold, minute.pace.spread, minute.warm_up) == (1800, 10000, 100)
    assert (1 - minute.pace.weight) ** 5 == pytest.approx(1 - Tuning().pace.weight)
    assert minute.rhythm.level == 720
    assert Tuning().per(300) == Tuning()
    for bucket in (0, -1, 7200):
        with pytest.raises(ValueError, match="at most 3600 seconds"):
            Tuning().per(bucket)
