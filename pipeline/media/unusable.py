"""Inside the child: why an item cannot be used."""

from __future__ import annotations

from pipeline.media.reasons import UnreadReason


class Unusable(Exception):
    """Its text is the reason that the parent hands on, `code` the fixed word for it."""

    def __init__(self, reason: str, code: UnreadReason = "damaged") -> None:
        super().__init__(reason)
        self.code = code
