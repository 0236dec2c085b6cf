"""Media that strangers sent, made small and clean in a child process."""

from __future__ import annotations

from pipeline.media.cleaner import MediaCleaner
from pipeline.media.reasons import LEFT_ALONE, UnreadReason
from pipeline.media.wire import CleanMedia, MediaError, RawMedia

__all__ = ["LEFT_ALONE", "CleanMedia", "MediaCleaner", "MediaError", "RawMedia", "UnreadReason"]
