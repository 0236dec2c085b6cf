"""Spikes in series of counts, shares and any other measure, found as they come."""

from pipeline.spikes.detector import THRESHOLD, Detector, Signals, Tuning
from pipeline.spikes.measures import of_counts, of_shares, to_counts, to_shares

__all__ = [
    "THRESHOLD",
    "Detector",
    "Signals",
    "Tuning",
    "of_counts",
    "of_shares",
    "to_counts",
    "to_shares",
]
