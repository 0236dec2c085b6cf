"""The monitor: `sentiment` into rollups, rollups into series, spikes into alerts."""
