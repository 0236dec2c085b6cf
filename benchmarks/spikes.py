"""Planted spikes in weeks of made-up posts, published methods beside ours, and what ours costs.

The tracks have a rhythm of day and week, nights with hardly a post, more spread than chance alone
gives, bots that post on the hour, and one level shift each. 200 spikes of known onset and size
stand in the last week: in counts of posts, and in shares of an emotion among them. A spike is
found when an alert rises between its onset and its end; every other alert is false. The published
methods get the threshold that gives them one false alert a track-week.
"""

from __future__ import annotations

import json
import resource
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.nab.methods import (
    Method,
    change_points,
    count_surprise,
    hybrid_esd,
    once,
    seasonal_z,
    share_surprise,
)
from pipeline.spikes import Detector, of_counts, of_shares
from pipeline.spikes.profile import Profile

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

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
    observed: Floats
    """Counts, or shares, as they are."""
    totals: Floats | None = None
    """What the shares are of."""


def main() -> None:
    """Print what is found and what it costs, and write the JSON file."""
    trials = {"counts": plant_counts(1), "shares": plant_shares(2)}
    quality: dict[str, dict[str, dict[str, float]]] = {}
    for name, trial in trials.items():
        quality[name] = {"weathervane": judge(trial)} | {
            peer: judge_scores(trial, scores) for peer, scores in score_peers(trial).items()
        }
        for method, found in quality[name].items():
            print(
                f"spikes in {name}, {method}: {found['found']:.0f} of {found['planted']:.0f} found,"
                f" median delay {found['delay']:.0f} buckets,"
                f" {found['false']:.2f} false alerts a track-week"
            )
        print(f"  {quality[name]['weathervane']['first_week']:.2f} alerts in a track's first week")
    shifted = judge_shift(3, 3.0)
    print(f"counts three times as high from now on: {shifted:.2f} alerts a track after an hour")
    cost = measure_cost()
    print(
        f"{SERIES:,} series: {cost['microseconds']:.2f} µs a series a tick,"
        f" {cost['bytes']:,.0f} bytes a series"
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "spikes.json").write_text(
        json.dumps({**quality, "shift": shifted, "cost": cost}, indent=2) + "\n"
    )


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
    onsets = [spike[:2] for spike in spikes]
    return Trial(values.reshape(shape), noise.reshape(shape), onsets, counts)


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
    onsets, totals = [spike[:2] for spike in spikes], posts.astype(np.float64)
    return Trial(values.reshape(shape), noise.reshape(shape), onsets, felt / totals, totals)


def judge(trial: Trial) -> dict[str, float]:
    """Run the detector over a trial; only rises above what was expected are alerts."""
    alerts = find_alerts(trial.values, trial.noise)
    first_week = alerts[:WEEK].sum() / alerts.shape[1]
    return tally(trial, alerts) | {"first_week": float(first_week)}


def find_alerts(values: Floats, noise: Floats) -> Flags:
    """The alerts of the detector, `(ticks, tracks)`."""
    detector, alerts = Detector(values.shape[1]), np.zeros(values.shape, dtype=bool)
    for tick, hours in enumerate(hours_of(values)):
        signals = detector.step(hours, values[tick], noise[tick])
        alerts[tick] = signals.anomaly & (signals.deviation > 0)
    return alerts


def hours_of(values: Floats) -> npt.NDArray[np.int64]:
    """The hour of the week of each value, `(ticks, tracks)`."""
    ticks = np.arange(len(values))[:, None]
    return np.broadcast_to(ticks // HOUR % 168, values.shape)


def tally(trial: Trial, alerts: Flags) -> dict[str, float]:
    """What the alerts of a trial are worth."""
    alerts, delays = alerts.copy(), []
    for track, onset in trial.onsets:
        rose = np.flatnonzero(alerts[onset : onset + LENGTH, track])
        if rose.size:
            delays.append(float(rose[0]))
        alerts[onset : onset + LENGTH, track] = False
    return {
        "planted": float(len(trial.onsets)),
        "found": float(len(delays)),
        "delay": float(np.median(delays)) if delays else float("nan"),
        "false": float(alerts[(WEEKS - 1) * WEEK :].sum() / alerts.shape[1]),
    }


def judge_shift(seed: int, times: float) -> float:
    """Alerts a track that a lasting shift brings from an hour after it on, up to the end."""
    random = np.random.default_rng(seed)
    rate, start = rates(random), random.integers(2 * WEEK, 2 * WEEK + 4 * DAY, TRACKS)
    shifted = np.arange(len(rate))[:, None] >= start
    counts = random.poisson(np.where(shifted, times * rate, rate)).astype(np.float64)
    values, noise = of_counts(counts.ravel())
    alerts = find_alerts(values.reshape(counts.shape), noise.reshape(counts.shape))
    later = [alerts[at + HOUR :, track].sum() for track, at in enumerate(start)]
    return float(np.mean(later))


def score_peers(trial: Trial) -> dict[str, Floats]:
    """The scores of published methods, held for as long as ours; only of rises."""
    seen, totals, hours = trial.observed, trial.totals, hours_of(trial.observed)
    methods: dict[str, Method] = {
        "seasonal z-score": seasonal_z,
        "seasonal hybrid ESD": lambda values, hours: hybrid_esd(np.sqrt(values), hours),
        "Bayesian change points": change_points,
    }
    if totals is None:
        methods["Poisson surprise"] = count_surprise
    else:
        methods["beta-binomial surprise"] = partial(share_surprise, totals)
    profile, part = Profile(seen.shape[1]), slice(0, seen.shape[1])
    pairs = zip(hours, seen, strict=True)
    rises = np.array([row > profile.step(part, hour, row).expected for hour, row in pairs])
    hold = 36
    return {
        name: once(partial(score_rises, method, rises), hold)(seen, hours)
        for name, method in methods.items()
    }


def score_rises(
    method: Method, rises: Flags, values: Floats, hours: npt.NDArray[np.int64]
) -> Floats:
    """The scores of a method where values rise above what was expected, 0 elsewhere."""
    return np.where(rises, method(values, hours), 0.0)


def judge_scores(trial: Trial, scores: Floats) -> dict[str, float]:
    """What scores find at the lowest threshold that gives at most one false alert a track-week."""
    outside = scores[(WEEKS - 1) * WEEK :].copy()
    for track, onset in trial.onsets:
        start = onset - (WEEKS - 1) * WEEK
        outside[start : start + LENGTH, track] = 0.0
    threshold = np.sort(outside, axis=None)[-TRACKS - 1]
    return tally(trial, scores > threshold) | {"threshold": float(threshold)}


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
