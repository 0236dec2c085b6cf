"""The sentiment event: one scored post, without its text or media."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

import msgspec

from pipeline.bounds import (
    Bounded,
    DeletedWith,
    Id,
    Language,
    Platform,
    Probability,
    Tracks,
    Weight,
)
from pipeline.post import Revision, UnreadMedia
from pipeline.times import AwareTime

Emotion = Literal["anger", "disgust", "fear", "joy", "sadness", "surprise", "neutral"]
PolarityName = Literal["negative", "neutral", "positive"]
Modality = Literal["text", "image", "audio"]
EMOTIONS: tuple[Emotion, ...] = get_args(Emotion)
POLARITIES: tuple[PolarityName, ...] = get_args(PolarityName)


class Emotions(msgspec.Struct, frozen=True, gc=False):
    """Probability of each emotion, 0-1, multi-label (they need not sum to 1)."""

    anger: Probability
    disgust: Probability
    fear: Probability
    joy: Probability
    sadness: Probability
    surprise: Probability
    neutral: Probability


class Polarity(msgspec.Struct, frozen=True, gc=False):
    """Probabilities that sum to 1."""

    negative: Probability
    neutral: Probability
    positive: Probability

    @property
    def dominant(self) -> PolarityName:
        """The most probable polarity; on a tie the first in field order."""
        top = max(self.negative, self.neutral, self.positive)
        if self.negative == top:
            return "negative"
        return "neutral" if self.neutral == top else "positive"


class Opinion(msgspec.Struct, frozen=True, gc=False):
    """What one modality alone says."""

    emotions: Emotions
    polarity: Polarity


class SentimentEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One scored post, as published to `sentiment`."""

    id: Id
    platform: Platform
    author: Id | None
    """Salted hash; null where no salt is configured."""
    created_at: AwareTime
    scored_at: AwareTime
    lang: Language | None
    tracks: Tracks
    modalities: tuple[Modality, ...]
    """Those that the model read; none of a bare link, or of a picture that was not to be had."""
    emotions: Emotions
    dominant: Emotion | None
    """The likeliest emotion; null where nothing was read. A guess where the model abstained."""
    polarity: Polarity
    sentiment: Annotated[float, msgspec.Meta(ge=-1, le=1)]
    """P(positive) - P(negative), -1 to 1."""
    confidence: Probability
    abstained: bool
    """The model is not sure enough, or nothing was read."""
    conflict: Probability
    """How far the modalities disagree, 0-1."""
    by_modality: dict[Modality, Opinion]
    model: str
    """name@hash."""
    weight: Weight = 1.0
    """How many posts this one stands for: more than 1 where others were shed under overload."""
    revision: Revision = 0
    """0 as first published; of an edit the source's own number, or 1 where it has none."""
    edited_at: AwareTime | None = None
    """When this version was made. The last word on a post has the highest (revision, edited_at)."""
    repost_of: Id | None = None
    repost_author: Id | None = None
    """Whose words it repeats: a salted hash like `author`."""
    deleted_with: DeletedWith = ()
    """Ids of posts whose deletion takes this one along: what it repeats in their words, and later
    versions of either."""
    unread_media: tuple[UnreadMedia, ...] = ()
    """Attachments that the post was scored without."""

    @property
    def unread(self) -> bool:
        """Whether nothing of the post was read. Events of old have a guess all the same."""
        return not self.modalities or self.dominant is None

    @property
    def mood(self) -> Emotion | None:
        """The emotion that the post counts for; None where it counts as unread or abstained."""
        return None if self.unread or self.abstained else self.dominant


event_decoder = Bounded(SentimentEvent)
