"""Kafka's jars: fetched whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import ServerUnavailable
from workers.local import kafka


def test_without_a_repository_one_sentence_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = tmp_path / "jgo.conf"
    configuration.write_text("[repositories]\ncentral = http://127.0.0.1:1/maven2\n")
    monkeypatch.setenv("JGO_CONFIG_FILE", str(configuration))
    monkeypatch.setenv("HOME", str(tmp_path))
    said: list[str] = []

    with pytest.raises(ServerUnavailable, match="name a running Kafka in WEATHERVANE_KAFKA"):
        kafka.jars(said.append)

    assert len(said) == 1
    assert "Downloading Apache Kafka" in said[0]
    assert list((tmp_path / ".cache" / "weathervane").iterdir()) == []


def test_jars_that_are_there_are_not_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / ".cache" / "weathervane"
    folder /= f"kafka-{kafka.VERSION}-log4j-{kafka.LOG4J_VERSION}"
    folder.mkdir(parents=True)
    said: list[str] = []
    assert kafka.jars(said.append) == folder
    assert said == []


def test_storage_that_cannot_be_formatted_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file where a folder should be")
    with pytest.raises(ServerUnavailable, match="cannot be formatted"):
        kafka.prepare(tmp_path, 9092, 9093, kafka.jars(print))
