"""Sending files of records to a raw topic."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from pipeline.clients import producer
from pipeline.errors import SettingsError, Unreadable, WeathervaneError
from pipeline.platforms import DECODERS
from pipeline.settings import Settings
from pipeline.topics import MAX_RECORD_BYTES, RAW_PREFIX
from workers.progress import Progress

_OVERHEAD = 200
"""Bytes that Kafka adds to a record and its batch, at most."""


def send_files(
    settings: Settings, files: Sequence[Path], platform: str, rate: float | None
) -> None:
    """Send every non-empty line of the files as one record; `-` is standard input.

    Raises:
        SettingsError: the platform is unknown, a file is missing, or the rate is not positive.
        WeathervaneError: some lines were refused; all others were sent.
    """
    if platform not in DECODERS:
        raise SettingsError(f"--platform {platform}: known are {', '.join(DECODERS)}")
    if rate is not None and rate <= 0:
        raise SettingsError("--rate: must be more than 0 records a second")
    missing = [str(file) for file in files if str(file) != "-" and not file.is_file()]
    if missing:
        raise SettingsError(f"there is no file {', '.join(missing)}")
    topic = f"{RAW_PREFIX}{platform}"
    refused: list[str] = []
    failures: list[BaseException] = []
    sent = 0
    with closing(producer(settings)) as sink, Progress("sending", _count(files)) as progress:
        started = time.monotonic()
        for where, line in _lines(files):
            if len(line) > MAX_RECORD_BYTES - _OVERHEAD:
                refused.append(
                    f"{where} has {len(line):,} bytes; {topic} takes at most {MAX_RECORD_BYTES:,}"
                )
                continue
            if rate is not None:
                _wait_until(started + sent / rate)
            future = sink.send(topic, key=key_of(line, platform), value=line)
            future.add_errback(failures.append)
            sent += 1
            progress.advance()
        sink.flush(timeout=60)
    if failures:
        raise WeathervaneError(f"{len(failures)} of {sent} were not taken: {failures[0]}")
    print(f"sent {sent} records to {topic}", file=sys.stderr)
    if refused:
        raise WeathervaneError("not sent: " + "; ".join(refused))


def key_of(line: bytes, platform: str) -> bytes | None:
    """The post's id, which keeps the records of one post in order; None where there is none."""
    try:
        post = DECODERS[platform](line)
    except Unreadable:
        return None
    return post.id.encode() if post is not None else None


def _lines(files: Sequence[Path]) -> Iterator[tuple[str, bytes]]:
    for file in files:
        stream: Any = sys.stdin.buffer if str(file) == "-" else file.open("rb")
        with stream:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    yield f"{file} line {number}", line.rstrip(b"\r\n")


def _count(files: Sequence[Path]) -> int | None:
    """Lines to send; None where standard input is among the files."""
    if any(str(file) == "-" for file in files):
        return None
    return sum(1 for _ in _lines(files))


def _wait_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))
