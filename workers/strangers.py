"""Raw topics that nobody reads: they are left alone, and said to be there."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable

from pipeline.platforms import DECODERS
from pipeline.telemetry import Telemetry
from pipeline.topics import RAW_PREFIX, dead_letter_topic

RAW_PATTERN = f"^{re.escape(RAW_PREFIX)}({'|'.join(map(re.escape, DECODERS))})$"
"""The topics that ingest reads: those of a platform that has a decoder."""
_read = re.compile(RAW_PATTERN)
log = logging.getLogger(__name__)


def strangers(topics: Iterable[str]) -> set[str]:
    """Those that look like raw topics and belong to no platform that is read."""
    return {
        topic
        for topic in topics
        if topic.startswith(RAW_PREFIX)
        and not topic.endswith(dead_letter_topic(""))
        and not _read.match(topic)
    }


class Strangers:
    """Says once of each such topic that it is there, and once that it is gone."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._known: set[str] = set()

    def __call__(self, topics: Iterable[str]) -> None:
        """Take note of the topics that there are."""
        found = strangers(topics)
        for topic in sorted(found - self._known):
            platform = topic.removeprefix(RAW_PREFIX)
            log.warning(
                "the topic %s is left alone: posts of the platform %r are not read, only those of "
                "%s; send them in the canonical form to %sweathervane",
                *(topic, platform, ", ".join(DECODERS), RAW_PREFIX),
            )
        for topic in sorted(self._known - found):
            log.info("the topic %s, which was left alone, is gone", topic)
        self._known = found
        self._telemetry.strangers(len(found))
