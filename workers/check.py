"""Whether everything that the workers need is in place, and what would hurt them later."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

import msgspec
from kafka.errors import KafkaError
from redis import RedisError

from models.errors import ModelError
from models.registry import find_release
from models.release import verify
from pipeline.errors import WeathervaneError
from pipeline.settings import Settings
from pipeline.shedding import Shedding
from workers.checks.disk import check_disk
from workers.checks.files import check_author, check_notify, check_rules, check_tracks
from workers.checks.finding import Finding, failed, ok
from workers.checks.kafka import check_clock, check_kafka
from workers.checks.store import check_redis, check_redis_clock
from workers.checks.topics import check_topics

Check = Callable[[Settings], list[Finding]]


class Line(msgspec.Struct, frozen=True):
    """One line of the report."""

    check: str
    level: str
    text: str


def check_files(settings: Settings) -> None:
    """Read what the settings name, before workers are started, or stopped, for their sake.

    Raises:
        SettingsError: tracks, rules, channels, secrets or the bounds of overload are not in order.
        ModelError: there is no such release, or it was altered.
    """
    for check in (check_tracks, check_rules, check_notify, check_author, Shedding.of):
        check(settings)
    verify(find_release(settings.release))


def run_checks(
    settings: Settings,
    only: Collection[str] = (),
    *,
    load_model: bool = False,
    as_json: bool = False,
) -> None:
    """Print what was found, a line each; `only` names the checks, all of them unless given.

    The model is loaded, which takes seconds, only where that or the check `model` is asked for.

    Raises:
        WeathervaneError: something would hurt, or there is no such check.
    """
    load_model = load_model or "model" in only
    checks: dict[str, Check] = {
        "kafka": check_kafka,
        "topics": check_topics,
        "redis": check_redis,
        "clock": _clocks,
        "disk": check_disk,
        "tracks": check_tracks,
        "rules": check_rules,
        "notify": check_notify,
        "author": check_author,
        "overload": _overload,
        "model": _loaded if load_model else _verified,
    }
    unknown = [name for name in only if name not in checks]
    if unknown:
        raise WeathervaneError(f"there is no check {unknown[0]!r}; there are {', '.join(checks)}")
    lines: list[Line] = []
    for line in _lines(settings, {n: c for n, c in checks.items() if not only or n in only}):
        lines.append(line)
        if not as_json:
            print(f"{line.level:<8} {line.check:<8} {line.text}", flush=True)
    if as_json:
        print(msgspec.json.encode(lines).decode())
    wrong = dict.fromkeys(line.check for line in lines if line.level == "failed")
    if wrong:
        raise WeathervaneError(f"not in order: {', '.join(wrong)}")


def _lines(settings: Settings, checks: dict[str, Check]) -> Iterator[Line]:
    away = False
    for name, check in checks.items():
        if name == "topics" and away:
            yield Line(name, "failed", "cannot be looked at: see kafka")
            continue
        try:
            found = check(settings)
        except (WeathervaneError, ModelError, KafkaError, RedisError, OSError) as error:
            found = [failed(str(error) or repr(error))]
            away = away or name == "kafka"
        for finding in found:
            yield Line(name, finding.level, finding.text)


def _clocks(settings: Settings) -> list[Finding]:
    """Both servers' clocks; one that does not answer has its own check."""
    found: list[Finding] = []
    for check in (check_redis_clock, check_clock):
        try:
            found += check(settings)
        except (WeathervaneError, KafkaError, RedisError) as error:
            found.append(failed(f"cannot be told: {error}"))
    return found


def _overload(settings: Settings) -> list[Finding]:
    Shedding.of(settings)
    return [ok(settings.overload)]


def _verified(settings: Settings) -> list[Finding]:
    release = find_release(settings.release)
    verify(release)
    return [ok("its files are whole; --model loads it as well")]


def _loaded(settings: Settings) -> list[Finding]:
    from models.predictor import Predictor  # takes seconds

    return [ok(f"{Predictor.load(find_release(settings.release), settings.device).name} is loaded")]
