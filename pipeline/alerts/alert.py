"""The alert: one spike of one series of one track, as published to `alerts`.

Every record of `alerts` is one state change: key = alert id, value = the whole `Alert` at that
change. `id` and `sequence` (1, 2, … of each id) identify the change: a reader that remembers the
last sequence of an id leaves out a record whose sequence is not larger. States go
fired → updated (the severity grew, any number of times) → cleared.

Somebody acknowledges or mutes by an `AlertCommand`, produced to `alerts.commands` with the *track*
as its key. The monitor answers with the next sequence of the alert: the state stays what it was,
`acknowledged` or `muted` says what is new. The same command given again changes nothing, and
neither does one for an alert that nobody knows. A mute holds for the series: alerts of this track
and series that fire before `until` (for ever where null) carry `muted` from their first sequence.
A muted alert is shown and not delivered.
"""

from __future__ import annotations

import hashlib
from typing import Literal

import msgspec

from pipeline.times import AwareTime

State = Literal["fired", "updated", "cleared"]
Unit = Literal["share", "posts"]
Action = Literal["acknowledge", "unacknowledge", "mute", "unmute"]
MOST_SEVERE = 10


class Term(msgspec.Struct, frozen=True):
    """A word or hashtag that several posts of the spike share."""

    term: str
    now: float
    """Share of the looked-at posts of the spike that hold it, 0-1."""
    before: float
    """The same, of the looked-at posts before it."""
    ratio: float
    """`now` over `before`, both with half a post added so that it is finite."""


class Acknowledgement(msgspec.Struct, frozen=True):
    """Who took notice, and when."""

    by: str
    at: AwareTime


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """Why the alert says what it says. Shares are 0-1; null where nothing was known."""

    exemplars: tuple[str, ...] = ()
    """Ids of posts of the spike, the most telling first."""
    terms: tuple[Term, ...] = ()
    hashtags: tuple[Term, ...] = ()
    """What changed most against the posts before the spike, the most changed first."""
    languages: dict[str, float] = {}
    platforms: dict[str, float] = {}
    """Share of the posts of the track during the spike."""
    repost_share: float | None = None
    near_duplicate_share: float | None = None
    """Share of the looked-at posts of the spike whose text another one repeats nearly."""
    organic: bool | None = None
    """False where most of the looked-at posts are reposts or near-duplicates: amplified."""
    conflict: float | None = None
    """Mean disagreement between the modalities of the posts during the spike, 0-1."""


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One state of one alert."""

    id: str
    state: State
    sequence: int
    """1, 2, … of this id."""
    track: str
    series: str
    """`volume`, `emotion:<name>` or `polarity:<name>`."""
    severity: int
    """1-10: the strongest so far. Severity s means at least 4 · 1.5^(s-1) standard deviations
    above what was expected: 1 from 4, 3 from 9, 5 from 20, 7 from 46, 10 from 154."""
    onset: AwareTime
    """Start of the first minute of the spike. This and the times below are event times."""
    fired_at: AwareTime
    updated_at: AwareTime
    """End of the minute that this state speaks of; an acknowledgement or mute leaves it."""
    cleared_at: AwareTime | None = None
    observed: float
    """The share (0-1) or the number of posts of the minute; scored posts stand for shed ones."""
    expected: float
    low: float
    high: float
    """Where 19 of 20 values were expected to lie: two standard deviations to either side."""
    unit: Unit
    deviation: float
    """Standard deviations above what was expected."""
    posts: int
    """Scored posts from `onset` to `updated_at`: of the emotion or polarity; of the track for
    `volume`."""
    late_posts: int = 0
    """Those that came after their minute had been judged: in the store, and not in `posts`."""
    rule: str
    """Name of the rule that let it fire."""
    acknowledged: Acknowledgement | None = None
    muted: bool = False
    evidence: Evidence = Evidence()


class AlertCommand(msgspec.Struct, frozen=True, kw_only=True):
    """What a person does about an alert; produced to `alerts.commands`, key = track."""

    alert: str
    """Id of the alert."""
    track: str
    action: Action
    by: str
    at: AwareTime
    until: AwareTime | None = None
    """End of a mute."""


alert_decoder = msgspec.json.Decoder(Alert)
command_decoder = msgspec.json.Decoder(AlertCommand)


def alert_id(track: str, series: str, onset_minute: int) -> str:
    """The id of the spike of this series that begins at `onset_minute` (epoch seconds)."""
    name = f"{track}\n{series}\n{onset_minute}".encode()
    return hashlib.blake2b(name, digest_size=8).hexdigest()
