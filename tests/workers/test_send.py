"""`send` against a real Kafka: what is meant is sent, and what is not sent is said."""

from __future__ import annotations

import gzip
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pipeline.clients import consumer
from pipeline.errors import SettingsError
from pipeline.settings import Settings, load_settings
from pipeline.topics import create_topics
from tests.waiting import until
from workers.send import send_files

pytestmark = pytest.mark.servers
TOPIC = "posts.raw.weathervane"


@pytest.fixture(scope="module")
def settings(kafka: str) -> Settings:
    settings = load_settings(kafka=kafka, name="send-test")
    create_topics(settings)
    return settings


def sent(settings: Settings, prefix: str, count: int) -> list[Any]:
    """The records whose id begins so, once there are as many."""
    found: dict[tuple[int, int], Any] = {}
    with closing(consumer(settings, None)) as source:
        source.subscribe([TOPIC])

        def enough() -> bool:
            for record in (r for rs in source.poll(timeout_ms=200).values() for r in rs):
                if (record.key or b"").startswith(f"weathervane:{prefix}".encode()):
                    found[record.partition, record.offset] = record
            return len(found) >= count

        until(enough, f"{count} records are there")
    return list(found.values())


def posts(prefix: str) -> list[dict[str, str]]:
    created = "2026-01-26T10:00:00Z"
    return [
        {"id": f"weathervane:{prefix}{n}", "created_at": created, "text": "so happy"}
        for n in range(3)
    ]


def test_an_array_under_gzip_is_its_elements(
    settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "posts.json.gz"
    file.write_bytes(gzip.compress(json.dumps(posts("array"), indent=2).encode()))
    send_files(settings, [file], "weathervane", None)
    records = sent(settings, "array", 3)
    assert sorted(json.loads(record.value)["id"] for record in records) == [
        f"weathervane:array{n}" for n in range(3)
    ]
    assert "sent 3 records" in capsys.readouterr().err


def test_nothing_is_sent_where_one_of_the_files_holds_no_records(
    settings: Settings, tmp_path: Path
) -> None:
    good, bad = tmp_path / "posts.jsonl", tmp_path / "posts.csv"
    good.write_text("".join(json.dumps(post) + "\n" for post in posts("refused")))
    bad.write_text("id,text\n")
    with pytest.raises(SettingsError, match=r"posts\.csv holds no JSON records"):
        send_files(settings, [good, bad], "weathervane", None)
    with pytest.raises(SettingsError, match="is a folder: give its files"):
        send_files(settings, [good, tmp_path], "weathervane", None)
    send_files(settings, [good], "weathervane", None)
    assert len(sent(settings, "refused", 3)) == 3
