"""Posts that cannot be read, come at odd times, come again; and counting all of it once more."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from tests.trials.doctored import CURSE, doctored_release
from tests.trials.harness import Fault, Record, Trial, post, record, version
from tests.trials.oracle import RAW, read

pytestmark = [pytest.mark.trial, pytest.mark.timeout(1200)]


def jpeg() -> bytes:
    out = BytesIO()
    Image.effect_noise((300, 200), 80).convert("RGB").save(out, "JPEG")
    return out.getvalue()


def poison(number: int) -> Record:
    """A record that cannot be used, each kind in turn."""
    name = f"weathervane:poison-{number}"
    broken = post(number, id=name)
    match number % 4:
        case 0:
            return name, json.dumps(broken).encode()[:-10]
        case 1:
            cut = base64.b64encode(jpeg()[:900]).decode()
            # With words it would be scored by them.
            broken |= {
                "text": None,
                "media": [{"kind": "image", "mime": "image/jpeg", "bytes": cut}],
            }
        case 2:
            broken["created_at"] = "the day after tomorrow"
        case _:
            broken["text"] = None
    return record(broken)


REASONS = ("not JSON", "cut off", "created_at is not a time", "nothing to score")
NOT_FINITE = "not finite numbers"


def cursed(number: int) -> Record:
    """A post that is read well, and for which the doctored model has no number."""
    name = f"weathervane:cursed-{number}"
    return record(post(number, id=name, text=f"{CURSE} what a day {number}"))


@pytest.mark.environment(RELEASE=doctored_release)
def test_trial_6_poison(trial: Trial) -> None:
    """1% poison: bad JSON, truncated JPEG, unreadable time, nothing to score; 1% scored as NaN."""
    count = max(4, trial.posts // 100)
    bad = [poison(number) for number in range(count)]
    unscored = [cursed(number) for number in range(count)]
    records = [record(post(number)) for number in range(trial.posts)] + bad + unscored
    trial.random.shuffle(records)
    trial.send(records)
    verdict = trial.settle(letters=[key for key, _ in bad + unscored])
    for number, (key, _) in enumerate(bad):
        assert REASONS[number % 4] in verdict.letters[key], verdict.letters[key]
    for key, _ in unscored:
        assert NOT_FINITE in verdict.letters[key], verdict.letters[key]


def test_trial_19_times(trial: Trial) -> None:
    """Late, shuffled, +3 h, −1 day; epochs in seconds, milli-, micro- and nanoseconds."""
    now = datetime.now(UTC).replace(microsecond=0)
    shifts = [timedelta(seconds=n) for n in (0, -30, -240, -3600, 3 * 3600, -86_400)]
    records, moments = [], {}
    for number in range(trial.posts):
        moment = now + shifts[number % len(shifts)] + timedelta(seconds=number % 7)
        seconds = int(moment.timestamp())
        written: list[Any] = [moment.isoformat(), seconds]
        written += [seconds * 10**power for power in (3, 6, 9)]
        written.append(moment.astimezone().strftime("%Y-%m-%dT%H:%M:%S.123456789%z"))
        body = post(number, created_at=trial.random.choice(written))
        moments[body["id"]] = seconds
        records.append(record(body))
    trial.random.shuffle(records)
    trial.send(records)
    trial.settle()
    found = {
        event["id"]: int(datetime.fromisoformat(event["created_at"]).timestamp())
        for event in trial.events()
    }
    assert found == moments
    late = sum(int(trial.store.hget(k, "late") or 0) for k in trial.store.keys("wv:{p*}:position"))
    of_the_past = sum(number % len(shifts) in (3, 5) for number in range(trial.posts))
    # A partition counts as late only what follows a newer post: all but a few of those.
    assert 0.9 * of_the_past < late <= of_the_past


def test_trial_20_republished(trial: Trial) -> None:
    """10% of the ids published again, 5% edited, once and twice, the aggregator killed between."""
    trial.send_posts(trial.posts)
    again = trial.random.sample(range(trial.posts), trial.posts // 10)
    edited = again[: len(again) // 2]
    first = {number: version(number, 1) for number in edited}
    trial.send(record(post(number)) for number in again[::2])
    trial.send(record(body) for body in first.values())
    trial.wait_progress("aggregate", trial.posts // 2, 120)
    fault = trial.kill("aggregate")
    trial.send(record(post(number)) for number in again[1::2])
    # An edit may be published again, and edited again.
    trial.send(record(body) for body in first.values())
    trial.send(record(version(number, 2)) for number in edited[::2])
    trial.recovers(fault)
    verdict = trial.settle()
    assert verdict.duplicates == len(again) + len(edited)
    assert verdict.edited == len(edited) + len(edited[::2])
    assert verdict.scored == trial.posts


@pytest.mark.environment(RELEASE=doctored_release)
def test_trial_22_redriven_and_rebuilt(trial: Trial, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dead letters sent back twice, to another model as well; counted again from offset 0."""
    bad = [poison(number) for number in range(40)]
    unscored = [cursed(number) for number in range(20)]
    trial.send_posts(trial.posts // 2)
    trial.send(bad + unscored)
    keys = [key for key, _ in bad]
    trial.settle(letters=[*keys, *(key for key, _ in unscored)])

    # Another release, which knows what to say: `up` starts the workers anew on the same data.
    monkeypatch.delenv("WEATHERVANE_RELEASE")
    trial.stack.weathervane("up")
    counted = trial.progress("aggregate")
    done = trial.stack.weathervane("dlq", "redrive", "--reason", NOT_FINITE)
    assert f"sent {len(unscored)} back, {len(bad)} stay" in done.stdout
    trial.wait_progress("aggregate", counted + len(unscored))
    trial.settle(letters=keys)
    headers = _headers(trial)
    for _ in range(2):
        done = trial.stack.weathervane("dlq", "redrive", "--topic", f"{RAW}.dlq")
        assert f"sent {len(bad)} back, 0 stay" in done.stdout
        trial.sent_back(len(bad))
        trial.send_posts(trial.posts // 4)
        trial.settle(letters=keys)
    assert _headers(trial) == headers, "redriving changes the headers of a letter"

    trial.store.flushall()
    fault = Fault(trial, "aggregate")
    assert fault.before < trial.posts // 4
    trial.recovers(fault)
    trial.settle(letters=keys)


def _headers(trial: Trial) -> set[tuple[str, ...]]:
    """The names of the headers of each dead letter, redriven or not."""
    letters = read(trial.kafka, [f"{RAW}.dlq"])
    return {tuple(name for name, _ in letter.headers() or ()) for letter in letters}
