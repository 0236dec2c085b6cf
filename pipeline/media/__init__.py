"""Media that strangers sent, made small and clean in a child process."""

from __future__ import annotations

from pipeline.media.cleaner import MediaCleaner
from pipeline.media.wire import CleanMedia, MediaError, RawMedia

__all__ = ["CleanMedia", "MediaCleaner", "MediaError", "RawMedia"]
