"""Whether everything that the workers need is in place."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

from kafka import KafkaAdminClient
from kafka.errors import KafkaError
from redis import RedisError

from models.errors import ModelError
from models.registry import find_release
from models.release import verify
from pipeline.alerts.rules import RuleFile
from pipeline.errors import ServerUnavailable, WeathervaneError
from pipeline.notify.config import load_config
from pipeline.settings import Settings
from pipeline.shedding import Shedding
from pipeline.store import connect
from pipeline.topics import topic_specs
from pipeline.tracks import TrackFile
from workers.notify.senders import Voice, make_sender

MIN_REDIS = (6, 2)


def check_files(settings: Settings) -> None:
    """Read what the settings name, before workers are started, or stopped, for their sake.

    Raises:
        SettingsError: tracks, rules, channels, secrets or the bounds of overload are not in order.
        ModelError: there is no such release, or it was altered.
    """
    for check in (_tracks, _rules, _notify, _author, Shedding.of):
        check(settings)
    verify(find_release(settings.release))


def run_checks(settings: Settings) -> None:
    """Print one line a check.

    Raises:
        WeathervaneError: at least one failed.
    """
    checks: dict[str, Callable[[Settings], str]] = {
        "kafka": _kafka,
        "redis": _redis,
        "tracks": _tracks,
        "rules": _rules,
        "notify": _notify,
        "author": _author,
        "model": _model,
    }
    failed = []
    for name, check in checks.items():
        try:
            print(f"ok      {name:<7} {check(settings)}", flush=True)
        except (WeathervaneError, ModelError, KafkaError, RedisError) as error:
            failed.append(name)
            print(f"failed  {name:<7} {error}", flush=True)
    if failed:
        raise WeathervaneError(f"not in order: {', '.join(failed)}")


def _kafka(settings: Settings) -> str:
    try:
        admin = KafkaAdminClient(**settings.kafka_options())
    except KafkaError as error:
        raise ServerUnavailable(f"does not answer at {settings.kafka}: {error}") from error
    with closing(admin):
        there = set(admin.list_topics())
    missing = [spec.name for spec in topic_specs(settings) if spec.name not in there]
    if missing:
        raise WeathervaneError(
            f"{settings.kafka} lacks {len(missing)} topics ({missing[0]} …): "
            "run weathervane topics create"
        )
    return f"{settings.kafka} has every topic"


def _redis(settings: Settings) -> str:
    with closing(connect(settings.redis)) as client:
        version = str(client.info("server")["redis_version"])
    if tuple(int(part) for part in version.split(".")[:2]) < MIN_REDIS:
        raise WeathervaneError(f"version {version}; at least 6.2 is needed")
    return f"version {version}"


def _tracks(settings: Settings) -> str:
    return ", ".join(TrackFile(settings.tracks).current().names)


def _rules(settings: Settings) -> str:
    names = ", ".join(RuleFile(settings.rules).current().names)
    return names if settings.rules is not None else f"the rules that ship: {names}"


def _notify(settings: Settings) -> str:
    if settings.notify is None:
        return "no channels are set: nobody is told of alerts"
    config = load_config(settings.notify)
    for channel in config.channel:
        make_sender(channel, settings.notify_secrets, Voice(config.language, ""))
    return ", ".join(channel.name for channel in config.channel) or "no channels"


def _author(settings: Settings) -> str:
    if settings.secret("author_salt"):
        return "authors are published as salted hashes"
    return "no salt is set: events carry no author, and only Bluesky's accounts can be hidden"


def _model(settings: Settings) -> str:
    from models.predictor import Predictor  # takes seconds

    return Predictor.load(find_release(settings.release), settings.device).name
