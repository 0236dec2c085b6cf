"""Addresses as people write them: what is wrong is said, and no part of a password."""

from __future__ import annotations

import pytest

from pipeline.addresses import checked_redis, checked_servers, is_same_server, without_password
from pipeline.errors import SettingsError
from pipeline.settings import load_settings


@pytest.mark.parametrize(
    "url",
    [
        "redis://host:6379/0",
        "redis://host",
        "rediss://user:p%2Fw@host:6380/3?ssl_cert_reqs=none",
        "redis://:p@ss:word@[::1]:6379",
        "redis://host:1/0?client_name=a@b",
    ],
)
def test_a_url_that_redis_takes_is_taken_as_it_is(url: str) -> None:
    assert checked_redis(url) == url


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("host:6379", "is no URL: write redis://"),
        (":s3cret@host:6379", "is no URL: write redis://"),
        ("http://host:6379", "begins with http://"),
        ("redis://:6379/0", "is no HOST:PORT"),
        ("redis://host:99999", "from 1 to 65535"),
        ("redis://host:6379/first", "is no database"),
        ("redis://:s3cret#x@host:6379/0", "%23"),
        ("redis://:s3/cret@host:6379/0", "%2F"),
        ("redis://user:s3?cret@host", "%3F"),
        ("redis://:s3[cret]@host", "%5B"),
        ("redis://:s3cret%@host", "%25"),
        ("redis://:#s3cret/@host:6379", "%23"),
    ],
)
def test_what_redis_would_not_take_is_said_without_the_password(
    url: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEATHERVANE_REDIS", url)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert str(caught.value).startswith("WEATHERVANE_REDIS: ")
    assert said in str(caught.value)
    assert not any(part in str(caught.value) for part in ("s3", "cret"))
    assert caught.value.__cause__ is None, "what was chained to it is shown by a traceback"
    assert "s3" not in without_password(url) or "://" not in url


@pytest.mark.parametrize(
    ("servers", "said"),
    [
        ("kafka", "has no port: write HOST:PORT, as in kafka:9092"),
        ("one:9092,two", "'two' has no port"),
        ("kafka:", "is no HOST:PORT"),
        ("kafka:port", "is no HOST:PORT"),
        ("kafka:0", "from 1 to 65535"),
        ("::1:9092", "in brackets"),
        ("kafka://one:9092", "is a URL: write HOST:PORT, as in one:9092"),
        ("user:s3cret@kafka:9092", "WEATHERVANE_KAFKA_USERNAME"),
        (" , ", "names no server"),
    ],
)
def test_kafka_has_a_host_and_a_port(servers: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(kafka=servers)
    assert said in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_several_servers_may_have_spaces_between_them() -> None:
    assert checked_servers(" one:9092, [::1]:9093 ,") == "one:9092,[::1]:9093"


def test_the_same_server_is_recognised_whoever_signs_in() -> None:
    assert is_same_server("redis://127.0.0.1/", "redis://:pw@127.0.0.1:6379/0")
    assert not is_same_server("redis://127.0.0.1/1", "redis://127.0.0.1/0")
    assert is_same_server("b:1, A:2", "a:2,b:1")
    assert not is_same_server("a:1", "a:2")


def test_there_is_no_usual_server(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KAFKA", "REDIS", "CONFIG"):
        monkeypatch.setenv(f"WEATHERVANE_{name}", "")
    settings = load_settings()
    assert settings.kafka == settings.redis == ""
    assert not {"kafka", "redis"} & settings.model_fields_set, "an empty variable says nothing"
    with pytest.raises(SettingsError, match="no Kafka is named"):
        settings.kafka_options()
