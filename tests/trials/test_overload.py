"""More than there is room for: memory of the device, and posts a second."""

from __future__ import annotations

import base64
import math
import re
import statistics
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import soundfile
from confluent_kafka.admin import AdminClient

from tests.trials.flow import flowing, repeating
from tests.trials.harness import Trial, children, post, record
from tests.trials.limits import Cage, caged
from tests.trials.usage import MEBIBYTE, anonymous
from tests.waiting import until

pytestmark = [pytest.mark.trial, pytest.mark.timeout(2 * 3600)]
SOUNDS = 2
CAPACITY_SHARE = 0.15
"""Of one core, which is all that infer gets under overload."""
OVERLOAD = 5
ROOM = 96 * MEBIBYTE
"""What infer may take beside what it has when it is ready: its batches and fetches, and the kernels
for the sizes of batches (models/towers/sizes.py)."""
LAG_SECONDS = 10
FULL_SECONDS = 40
"""Lag from which the fewest are kept. It is passed for moments, by what a batch and its transaction
take on a tenth of the machine."""


@pytest.mark.environment(DEVICE_MEMORY_MIB=12, BATCH_RECORDS=120, DEVICE_TIMEOUT_SECONDS=120)
def test_trial_9_out_of_memory(trial: Trial) -> None:
    """The model gets 12 MiB: batches of texts that do not fit, and sound that never does."""
    count = max(240, trial.posts // 3)
    texts = [post(n, text=" ".join(f"word{n + k} happy" for k in range(8))) for n in range(count)]
    sounds = [_sound(number) for number in range(SOUNDS)]
    keys = [body["id"] for body in sounds]
    trial.send(record(body) for body in texts)
    trial.send(record(body) for body in sounds)
    verdict = trial.settle(letters=keys)
    for key in keys:
        assert "no memory for this item" in verdict.letters[key], verdict.letters[key]
    log = (trial.home / "logs" / "infer.log").read_text()
    halved = [int(n) for n in re.findall(r"out of memory on (\d+) items, halved", log)]
    assert max(halved, default=0) > SOUNDS, "no batch of texts was halved"
    assert "starting a new device process" in log


def _sound(number: int) -> dict[str, Any]:
    """A post with 15 s of noise."""
    samples = np.random.default_rng(number).normal(0, 0.2, 15 * 16_000).clip(-1, 1)
    file = BytesIO()
    soundfile.write(file, samples, 16_000, format="FLAC")
    media = {"kind": "audio", "mime": "audio/flac"}
    media["bytes"] = base64.b64encode(file.getvalue()).decode()
    return post(0, id=f"weathervane:sound-{number}", text="listen", media=[media])


@pytest.mark.environment(BATCH_RECORDS=50, DEVICE_TIMEOUT_SECONDS=120)
def test_trial_13a_overload_waits(trial: Trial, pytestconfig: pytest.Config) -> None:
    """5× the capacity of infer, in a memory cgroup; the posts wait."""
    seconds = float(pytestconfig.getoption("overload_seconds"))
    with _narrow(trial) as cages:
        rate = OVERLOAD * _capacity(trial)
        lags: list[float] = []
        with flowing(trial, rate), _still(trial), repeating(partial(_lag, trial, lags), 2):
            time.sleep(seconds)
        trial.row.fault += f", for {seconds:.0f} s: {rate:.0f} posts/s; {_words(cages, lags)}"
        assert max(lags) > LAG_SECONDS, f"infer was never behind: {lags}"
    verdict = trial.settle()
    assert verdict.shed == 0


@pytest.mark.environment(
    BATCH_RECORDS=50,
    DEVICE_TIMEOUT_SECONDS=120,
    OVERLOAD="shed",
    OVERLOAD_START_SECONDS=5,
    OVERLOAD_FULL_SECONDS=FULL_SECONDS,
)
def test_trial_13b_overload_sheds(trial: Trial, pytestconfig: pytest.Config) -> None:
    """5× the capacity of infer, in a memory cgroup; posts are shed."""
    seconds = float(pytestconfig.getoption("overload_seconds"))
    with _narrow(trial) as cages:
        rate = OVERLOAD * _capacity(trial)
        lags: list[float] = []
        with flowing(trial, rate), _still(trial), repeating(partial(_lag, trial, lags), 2):
            time.sleep(seconds)
        words = _words(cages, lags)
        held = statistics.median(lags[len(lags) // 2 :])
        assert held < FULL_SECONDS, f"shedding did not hold the lag: {lags}"
        assert max(lags) < 1.5 * FULL_SECONDS, f"the lag went too far: {lags}"
    verdict = trial.settle()
    assert verdict.shed > 0, "nothing was shed"
    totals = trial.stack.totals()["all"]
    assert totals["shed"] == verdict.shed
    share = verdict.shed / verdict.produced
    trial.row.fault += (
        f", for {seconds:.0f} s: {rate:.0f} posts/s, {share:.0%} of them shed; {words}"
    )
    _unbiased(trial, verdict.produced)


def _unbiased(trial: Trial, produced: int) -> None:
    """Hold the weighted sums to the truth: posts by the last digit of their number, and all."""
    kept = [(int(e["id"].rpartition(":")[2]), e["weight"]) for e in trial.events()]
    assert max(weight for _, weight in kept) > 1
    truth = [produced] + [len(range(digit, produced, 10)) for digit in range(10)]
    groups = [kept, *([(n, w) for n, w in kept if n % 10 == digit] for digit in range(10))]
    for posts, group in zip(truth, groups, strict=True):
        estimate = sum(weight for _, weight in group)
        # The variance of the Horvitz-Thompson estimator, itself estimated.
        error = math.sqrt(sum(weight * (weight - 1) for _, weight in group))
        assert abs(estimate - posts) < 4 * error + 1, (posts, estimate, error)


@contextmanager
def _narrow(trial: Trial) -> Iterator[list[Cage]]:
    """Bound the processors and the memory of infer and of its device process."""
    infer = trial.running("infer")
    pids = [infer, *children(infer)]
    with ExitStack() as stack:
        memory = stack.enter_context(caged("memory", pids))
        # Pages from before the move stay charged to the former group: this one has what is new.
        memory.write("memory.limit_in_bytes", ROOM)
        processors = stack.enter_context(caged("cpu", pids))
        processors.write("cpu.cfs_period_us", 100_000)
        processors.write("cpu.cfs_quota_us", int(CAPACITY_SHARE * 100_000))
        before = anonymous(pids)
        yield [memory, processors]
        assert [infer, *children(infer)] == pids, "a process of infer was replaced"
        grown = (anonymous(pids) - before) / MEBIBYTE
        trial.row.fault += f", infer grew by {grown:.0f} MiB"
        assert grown < ROOM / MEBIBYTE, "memory grew"
        assert memory.read("memory.failcnt") == 0, "the memory limit was met"


def _capacity(trial: Trial) -> float:
    """Posts a second that infer can do, by what it does of more than it can in 15 s."""
    backlog = 400
    begin = trial.progress("infer")
    trial.send_posts(backlog)
    trial.wait_progress("infer", begin + 1)
    started, before = time.monotonic(), trial.progress("infer")

    def measured() -> bool:
        done = trial.progress("infer") - begin >= backlog
        return done or time.monotonic() - started > 15

    until(measured, "the capacity is measured", 60)
    rate = (trial.progress("infer") - before) / (time.monotonic() - started)
    return max(2.0, rate)


@contextmanager
def _still(trial: Trial) -> Iterator[None]:
    """The group of infer shares nothing out anew: each time the same members and partitions."""
    seen: set[str] = set()

    def look() -> None:
        admin = AdminClient({"bootstrap.servers": trial.kafka})
        group = admin.describe_consumer_groups(["infer"])["infer"].result(30)
        places = {
            member.member_id: sorted(p.partition for p in member.assignment.topic_partitions)
            for member in group.members
        }
        seen.add(f"{group.state} {sorted(places.items())}")

    with repeating(look, 3):
        yield
    assert len(seen) == 1, seen


def _lag(trial: Trial, lags: list[float]) -> None:
    """Note the lag that infer shows, in seconds."""
    url = f"http://127.0.0.1:{trial.ports['infer']}/metrics"
    with urllib.request.urlopen(url, timeout=20) as answer:
        text = answer.read().decode()
    found = re.search(r'^weathervane_lag_seconds\{stage="infer"\} (\S+)$', text, re.MULTILINE)
    assert found is not None
    lags.append(float(found[1]))


def _words(cages: list[Cage], lags: list[float]) -> str:
    held = cages[0].read("memory.max_usage_in_bytes") / MEBIBYTE
    return f"lag up to {max(lags):.0f} s, {held:.0f} MiB taken beside the model at most"
