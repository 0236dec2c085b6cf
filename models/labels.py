"""The label sets that every tower, corpus and event shares. Order is part of the weights."""

from typing import Final, Literal

Emotion = Literal["anger", "disgust", "fear", "joy", "sadness", "surprise", "neutral"]
Polarity = Literal["negative", "neutral", "positive"]
Modality = Literal["text", "image", "audio"]

EMOTIONS: Final[tuple[Emotion, ...]] = (
    "anger",
    "disgust",
    "fear",
    "joy",
    "sadness",
    "surprise",
    "neutral",
)
POLARITIES: Final[tuple[Polarity, ...]] = ("negative", "neutral", "positive")
MODALITIES: Final[tuple[Modality, ...]] = ("text", "image", "audio")
