"""Why an attachment was not read: the fixed words that events carry and metrics count by."""

from __future__ import annotations

from typing import Literal

UnreadReason = Literal[
    "not_fetched",
    "not_supported",
    "over_limit",
    "not_read_by_model",
    "malformed",
    "bad_encoding",
    "empty",
    "unknown_format",
    "wrong_kind",
    "no_sound",
    "blank",
    "too_large",
    "damaged",
    "too_long_to_decode",
]

LEFT_ALONE: frozenset[UnreadReason] = frozenset(
    {"not_fetched", "not_supported", "over_limit", "not_read_by_model", "blank"}
)
"""Nothing is wrong with the attachment; it is merely not read. All other words say it is bad."""
