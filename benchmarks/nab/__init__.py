"""The Numenta Anomaly Benchmark: its scorer, and our detector and published ones on it."""

from benchmarks.nab.run import main

__all__ = ["main"]
