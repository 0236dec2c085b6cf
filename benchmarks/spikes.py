"""Planted spikes in weeks of made-up posts, and what the detector costs.

The tracks have a rhythm of day and week, nights with hardly a post, more spread than chance alone
gives, bots that post on the hour, and one level shift each. 200 spikes of known onset and size
stand in the last week: in counts of posts, and in shares of an emotion among them. A spike is
found when an alert rises between its onset and its end; every other alert is false.
"""

from __future__ import annotations

import json
import resource
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.spikes import Detector, of_counts, of_shares

Floats = npt.NDArray[np.float64]

RESULTS = Path("benchmarks/results")
TRACKS, WEEKS, BUCKET_MINUTES = 50, 4, 5
HOUR = 60 // BUCKET_MINUTES
DAY = 24 * HOUR
WEEK = 7 * DAY
SPIKES = 4
"""Spikes a track."""
LENGTH = 6
"""Buckets a spike lasts."""
SIZES = (5.0, 15.0)
"""Standard deviations of the bucket that a spike adds."""
DISPERSION = 0.15
"""Spread of the rate beyond chance, as a share of it."""
SERIES, TICKS = 100_000, 2 * HOUR


@dataclass(frozen=True)
class Trial:
    """Series `(ticks, tracks)` for the detector, and the onsets `(track, tick)` in them."""

    values: Floats
    noise: Floats
    onsets: list[tuple[int, int]]


def main() -> None:
    """Print what is found and what it costs, and write the JSON file."""
    trials = {"counts": plant_counts(1), "shares": plant_shares(2)}
    quality = {name: judge(trial) for name, trial in trials.items()}
    for name, found in quality.items():
        print(
            f"spikes in {name}: {found['found']:.0f} of {found['planted']:.0f} found,"
            f" median delay {found['delay']:.0f} buckets,"
            f" {found['false']:.2f} false alerts a track-week"
        )
    cost = measure_cost()
    print(
        f"{SERIES:,} series: {cost['microseconds']:.2f} µs a series a tick,"
        f" {cost['bytes']:,.0f} bytes a series"
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "spikes.json").write_text(json.dumps({**quality, "cost": cost}, indent=2) + "\n")


def rates(random: np.random.Generator) -> Floats:
    """Expected posts a bucket `(ticks, tracks)`: seasons, bots, a level shift, uneven crowds."""
    ticks = np.arange(WEEKS * WEEK)[:, None]
    peak = random.uniform(10, 80, TRACKS)
    hour = ticks / HOUR % 24
    day = np.exp(-0.5 * ((hour - random.uniform(12, 20, TRACKS)) / 4.5) ** 2)
    weekend = np.where(ticks // DAY % 7 >= 5, random.uniform(0.5, 1.2, TRACKS), 1.0)
    rate = 0.3 + peak * day * weekend
    shift = random.integers(WEEK, (WEEKS - 1) * WEEK, TRACKS)
    rate = rate * np.where(ticks >= shift, random.uniform(0.7, 1.5, TRACKS), 1.0)
    uneven = random.gamma(DISPERSION**-2, DISPERSION**2, rate.shape)
    bots = np.where(ticks % HOUR == 0, random.integers(0, 12, TRACKS), 0)
    return rate * uneven + bots


def plant(random: np.random.Generator) -> list[tuple[int, int, float]]:
    """Track, onset and size of each spike: one a stretch of the last week, not at its edges."""
    stretch = WEEK // SPIKES
    return [
        (
            track,
            (WEEKS - 1) * WEEK + stretch * number + int(random.integers(0, stretch - 4 * LENGTH)),
            float(random.uniform(*SIZES)),
        )
        for track in range(TRACKS)
        for number in range(SPIKES)
    ]


def plant_counts(seed: int) -> Trial:
    """Counts of posts; σ is the standard deviation of the counts in the hour around, at least 1."""
    random = np.random.default_rng(seed)
    rate = rates(random)
    counts = random.poisson(rate).astype(np.float64)
    spikes = plant(random)
    for track, onset, size in spikes:
        hour = rate[onset - HOUR // 2 : onset + HOUR // 2, track]
        sigma = np.sqrt(max(hour.mean() + hour.var(), 1.0))
        counts[onset : onset + LENGTH, track] += np.round(size * sigma)
    values, noise = of_counts(counts.ravel())
    shape = counts.shape
    return Trial(values.reshape(shape), noise.reshape(shape), [spike[:2] for spike in spikes])


def plant_shares(seed: int) -> Trial:
    """Shares of an emotion in half hours of posts, 10% on average and uneven by a tenth of that.

    σ is the standard deviation of such a share at its total; none is planted above 90%.
    """
    random = np.random.default_rng(seed)
    posts = random.poisson(rates(random) * LENGTH) + 1
    share = 0.1 * random.gamma(100, 0.01, posts.shape)
    spikes = plant(random)
    for track, onset, size in spikes:
        rows = slice(onset, onset + LENGTH)
        sigma = np.sqrt(0.1 * 0.9 / posts[rows, track] + 0.01**2)
        share[rows, track] = np.minimum(share[rows, track] + size * sigma, 0.9)
    felt = random.binomial(posts, share).astype(np.float64)
    values, noise = of_shares(felt.ravel(), posts.ravel().astype(np.float64))
    shape = posts.shape
    return Trial(values.reshape(shape), noise.reshape(shape), [spike[:2] for spike in spikes])


def judge(trial: Trial) -> dict[str, float]:
    """Run the detector over a trial; only rises above what was expected are alerts."""
    ticks, tracks = trial.values.shape
    detector = Detector(tracks)
    alerts = np.zeros((ticks, tracks), dtype=bool)
    for tick in range(ticks):
        hours = np.full(tracks, tick // HOUR % 168)
        signals = detector.step(hours, trial.values[tick], trial.noise[tick])
        alerts[tick] = signals.anomaly & (signals.deviation > 0)
    delays = []
    for track, onset in trial.onsets:
        rose = np.flatnonzero(alerts[onset : onset + LENGTH, track])
        if rose.size:
            delays.append(float(rose[0]))
        alerts[onset : onset + LENGTH, track] = False
    false = alerts[(WEEKS - 1) * WEEK :].sum() / tracks
    delay = float(np.median(delays)) if delays else float("nan")
    planted = float(len(trial.onsets))
    return {"planted": planted, "found": len(delays), "delay": delay, "false": float(false)}


def measure_cost() -> dict[str, float]:
    """Mean processor time of a tick over two hours, and memory, at many different levels."""
    random = np.random.default_rng(3)
    level = random.uniform(1, 100, SERIES)
    detector = Detector(SERIES)
    for tick in range(TICKS):
        step(detector, random, level, tick)
    spent = [step(detector, random, level, TICKS + tick) for tick in range(TICKS)]
    return {
        "microseconds": float(np.mean(spent)) / SERIES * 1e6,
        "bytes": detector.nbytes / SERIES,
        "process_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def step(detector: Detector, random: np.random.Generator, level: Floats, tick: int) -> float:
    """Processor seconds of one tick, without making the counts."""
    values, noise = of_counts(random.poisson(level).astype(np.float64))
    hours = np.full(SERIES, tick // HOUR % 168)
    started = time.process_time()
    detector.step(hours, values, noise)
    return time.process_time() - started


if __name__ == "__main__":
    main()
