"""A worker whose loop stands still says that it is not alive, and then ends itself."""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest

from pipeline.clients import producer
from pipeline.settings import load_settings
from pipeline.topics import create_topics
from tests.ports import free_port
from tests.waiting import until
from workers.local.readiness import is_ready

pytestmark = pytest.mark.servers
STALLED_SECONDS = 6


def answer(port: int, path: str) -> int:
    """The status that a worker answers with."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as found:
            return int(found.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_a_worker_that_stands_still_ends_itself(kafka: str, tmp_path: Path) -> None:
    settings = load_settings(kafka=kafka, name="watched")
    create_topics(settings)
    tracks = tmp_path / "tracks.toml"
    tracks.write_text('[[track]]\nname = "cats"\nany = ["cat"]\n')
    port = free_port()
    environment = {
        **os.environ,
        "WEATHERVANE_KAFKA": kafka,
        "WEATHERVANE_TRACKS": str(tracks),
        "WEATHERVANE_STALLED_SECONDS": str(STALLED_SECONDS),
    }
    command = [sys.executable, "-m", "workers", "run", "ingest", "--name", "watched"]
    log = tmp_path / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*command, "--port", str(port)], env=environment, cwd=tmp_path, stdout=out, stderr=out
        )
    try:
        until(lambda: is_ready(port), "ingest is ready", 90)
        # Whoever opens a pipe waits until someone writes: the loop stands still for real.
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "pipe").replace(tracks)
        with closing(producer(settings)) as sink:
            post = b'{"id": "w:1", "created_at": "2026-03-01T12:00:00Z", "text": "a cat"}'
            sink.send("posts.raw.weathervane", key=b"w:1", value=post).get(timeout=30)
        until(lambda: answer(port, "/healthz") == 503, "liveness fails", 90)
        assert process.wait(STALLED_SECONDS * 10) == 1
    finally:
        process.kill()
        process.wait()
    said = log.read_text()
    assert "no progress for" in said
    assert "pipeline/tracks.py" in said, "it does not say where it stood"
