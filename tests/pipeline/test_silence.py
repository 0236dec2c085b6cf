"""Servers that take connections and say nothing: a command says so, in time and in one sentence."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest
from kafka.errors import KafkaTimeoutError, ProducerFencedError

from pipeline.clients import consumer, producer
from pipeline.errors import ServerUnavailable
from pipeline.settings import Settings
from pipeline.store import asked
from workers.monitor.run import reason
from workers.totals import read_totals


@pytest.fixture
def silent() -> Iterator[str]:
    """An address at which the system takes connections, and nobody reads."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_a_store_that_hangs_is_named_with_its_address(silent: str) -> None:
    url = f"redis://user:s3cret@{silent}/0"
    with pytest.raises(ServerUnavailable) as raised, asked(url, seconds=0.2) as client:
        client.ping()
    assert str(raised.value) == f"Redis at {silent} does not answer within 0.2 s"


def test_totals_wait_for_a_store_that_hangs_for_some_seconds_only(silent: str) -> None:
    began = time.monotonic()
    with pytest.raises(ServerUnavailable, match=f"^Redis at {silent} does not answer within 5 s$"):
        read_totals(Settings(redis=f"redis://{silent}/0"))
    assert time.monotonic() - began < 8


def test_a_kafka_that_hangs_is_named_with_its_address(silent: str) -> None:
    began = time.monotonic()
    words = f"^Kafka does not answer at {silent} within 10 s$"
    with pytest.raises(ServerUnavailable, match=words):
        producer(Settings(kafka=silent))
    assert time.monotonic() - began < 15
    with pytest.raises(ServerUnavailable, match=f"^Kafka does not answer at {silent} within 0.5 s"):
        consumer(Settings(kafka=silent), "group", bootstrap_timeout_ms=500)


def test_a_monitor_that_ends_for_kafka_says_so_without_a_trace() -> None:
    assert reason(ProducerFencedError()).startswith(": Kafka hung and ended its transaction")
    assert reason(KafkaTimeoutError("no answer")).endswith("no answer")
    assert reason(KeyError("ours")) == ""
