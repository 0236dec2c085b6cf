"""Sending files of records to a raw topic."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path

from pipeline.clients import producer
from pipeline.errors import SettingsError, Unreadable, WeathervaneError
from pipeline.platforms import DECODERS
from pipeline.settings import Settings
from pipeline.topics import MAX_RECORD_BYTES, RAW_PREFIX
from workers.progress import Progress
from workers.record_files import count_records, read_records

_OVERHEAD = 200
"""Bytes that Kafka adds to a record and its batch, at most."""


def send_files(
    settings: Settings, files: Sequence[Path], platform: str, rate: float | None
) -> None:
    """Send the records of the files (`workers.record_files`); `-` is standard input.

    Raises:
        SettingsError: the platform is unknown, the rate is not positive and finite, or a file is
            missing or empty, or most of its lines are no JSON objects.
        WeathervaneError: some lines were refused; all others were sent.
    """
    if platform not in DECODERS:
        raise SettingsError(f"--platform {platform}: known are {', '.join(DECODERS)}")
    if rate is not None and not 0 < rate < math.inf:
        raise SettingsError("--rate: must be a finite number of records a second, more than 0")
    _check(files)
    total = _count(files)  # which also finds what cannot be sent before anything is
    topic = f"{RAW_PREFIX}{platform}"
    refused: list[str] = []
    failures: list[BaseException] = []
    sent = 0
    with closing(producer(settings)) as sink, Progress("sending", total) as progress:
        started = time.monotonic()
        for where, line in chain.from_iterable(map(read_records, files)):
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


def _check(files: Sequence[Path]) -> None:
    for file in files:
        if str(file) != "-" and not file.exists():
            raise SettingsError(f"there is no file {file}")
        if file.is_dir():
            raise SettingsError(f"{file} is a folder: give its files")


def _count(files: Sequence[Path]) -> int | None:
    """Records to send; None where one of the files can be read once only, as pipes can."""
    counts = [count_records(file) for file in files if file.is_file()]
    return sum(counts) if len(counts) == len(files) else None


def _wait_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))
