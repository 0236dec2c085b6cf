"""Spikes in series of counts, shares and any other measure, found as they come.

One `Detector` holds the state of many series; each tick judges one bucket of each:

    detector = Detector(3, Tuning().per(60))  # three series in buckets of a minute
    judged = judge(detector, hours, parts, totals)  # arrays (3,); totals NaN: a count
    judged.observed, judged.expected, judged.low, judged.high, judged.deviation
    judged.score, judged.anomaly
    places = detector.add(2)  # series come …
    detector.remove(np.array([0]))  # … and go
    data = detector.save()  # bytes, of all series or of some rows
    detector = Detector.load(data, Tuning().per(60))
    detector.append(Detector.load(other))  # saved series join those of a running detector

`Detector.step` does the same for values on any scale, without counts and shares.
"""

from pipeline.spikes.detector import THRESHOLD, Detector, Signals, Tuning
from pipeline.spikes.judgement import INTERVAL, Judgement, judge
from pipeline.spikes.measures import of_counts, of_shares, to_counts, to_shares
from pipeline.spikes.profile import Rhythm
from pipeline.spikes.surprise import Pace

__all__ = [
    "INTERVAL",
    "THRESHOLD",
    "Detector",
    "Judgement",
    "Pace",
    "Rhythm",
    "Signals",
    "Tuning",
    "judge",
    "of_counts",
    "of_shares",
    "to_counts",
    "to_shares",
]
