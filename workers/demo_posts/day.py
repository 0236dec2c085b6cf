"""When the posts of the made-up day are written."""

from __future__ import annotations

import random

UTC_OFFSET_HOURS = {"en": -5, "zh": 8}
"""New York in winter; China."""
# Posts per hour of the local day, relative to the busiest: asleep at 4, lunch, the evening on top.
_HOURLY = (
    *(0.35, 0.2, 0.1, 0.07, 0.06, 0.1, 0.25, 0.5),
    *(0.65, 0.7, 0.75, 0.8, 0.9, 0.8, 0.7, 0.7),
    *(0.75, 0.8, 0.85, 0.9, 1.0, 1.0, 0.85, 0.6),
)
BURST_START = 17 * 3600
"""Seconds since midnight, UTC: noon in New York."""
BURST_SECONDS = 20 * 60
_BURST_PEAK = 5 * 60


def usual_second(lang: str, dice: random.Random) -> float:
    """A second of the UTC day after the day and night of the language's people."""
    [hour] = dice.choices(range(24), _HOURLY)
    local = 3600 * hour + dice.uniform(0, 3600)
    return round((local - 3600 * UTC_OFFSET_HOURS[lang]) % 86_400, 3)


def burst_second(dice: random.Random) -> float:
    """A second within the burst, which rises for five minutes and ebbs for fifteen."""
    return round(BURST_START + dice.triangular(0, BURST_SECONDS, _BURST_PEAK), 3)
