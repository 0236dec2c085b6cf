"""Scoring one post here and now, the same way as in the pipeline: clean, prepare, predict."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from models.errors import ItemError
from models.explain.explainer import Explainer, Explanation
from models.explain.picture import draw
from models.prediction import Prediction
from models.predictor import Predictor
from models.prepare import Item, Preparer
from models.registry import find_release
from models.report.canvas import figure
from pipeline.errors import SettingsError, WeathervaneError
from pipeline.event import EMOTIONS, POLARITIES, Opinion, SentimentEvent
from pipeline.media import MediaCleaner, MediaError, RawMedia
from pipeline.post import IngestedPost, encoder
from pipeline.settings import Settings
from workers.infer import to_event

SHOWN = 10  # parts in the table of reasons


@dataclass(frozen=True, slots=True)
class Explained:
    """An event, and why it says what it says."""

    event: SentimentEvent
    explanation: Explanation
    item: Item
    prediction: Prediction


def score(
    settings: Settings, text: str | None, image: Path | None, audio: Path | None
) -> SentimentEvent:
    """The event that the pipeline would publish for this post.

    Raises:
        WeathervaneError: a file cannot be read, or the post cannot be scored.
        ModelError: the release is missing or altered.
    """
    release = find_release(settings.release)
    item = Item(text, *_cleaned(image, audio))
    prepared = Preparer.load(release).prepare([item])[0]
    if isinstance(prepared, ItemError):
        raise WeathervaneError(prepared.reason)
    predictor = Predictor.load(release, settings.device)
    prediction = predictor.predict([prepared])[0]
    if isinstance(prediction, ItemError):
        raise WeathervaneError(prediction.reason)
    return _event(text, prediction, predictor.name)


def explain(
    settings: Settings, text: str | None, image: Path | None, audio: Path | None
) -> Explained:
    """The same with reasons; computed in float32, so that the last digits may differ.

    Raises:
        WeathervaneError: a file cannot be read.
        ModelError: the release is missing or altered, or the post cannot be scored.
    """
    item = Item(text, *_cleaned(image, audio))
    explainer = Explainer.load(find_release(settings.release))
    prediction, explanation = explainer.explain(item)
    event = _event(text, prediction, explainer.predictor.name)
    return Explained(event, explanation, item, prediction)


def print_score(
    settings: Settings, text: str | None, image: Path | None, audio: Path | None, as_json: bool
) -> None:
    """Print the event, or a table of what each modality says."""
    event = score(settings, text, image, audio)
    if as_json:
        print(encoder.encode(event).decode())
    else:
        _print_event(event)


def print_explained(
    settings: Settings,
    text: str | None,
    image: Path | None,
    audio: Path | None,
    *,
    as_json: bool,
    picture: Path | None,
) -> None:
    """Print the event with its reasons; draw them where a file is given."""
    if picture is not None:
        figure(1, 1)  # so that what is missing is said before the work and not after it
    found = explain(settings, text, image, audio)
    if picture is not None:
        _draw(found, picture)
    if as_json:
        reasons = msgspec.to_builtins(found.explanation)
        event = msgspec.json.decode(encoder.encode(found.event))
        print(msgspec.json.encode(event | {"explanation": reasons}).decode())
    else:
        _print_event(found.event)
        if found.explanation.emotion is not None:
            _print_reasons(found.explanation)


def _draw(found: Explained, picture: Path) -> None:
    png, missing = draw(found.item, found.prediction, found.explanation)
    try:
        picture.write_bytes(png)
    except OSError as error:
        raise SettingsError(f"cannot write {picture}: {error.strerror}") from error
    if missing:
        print(
            f"no installed font has {missing}: they are boxes in the picture; for Chinese install "
            "Noto Sans CJK (Debian: fonts-noto-cjk)",
            file=sys.stderr,
        )


def _event(text: str | None, prediction: Prediction, model: str) -> SentimentEvent:
    now = datetime.now(UTC)
    post = IngestedPost(id="weathervane:score", created_at=now, text=text, tracks=("all",))
    return to_event(post, prediction, model, None, now)


def _print_reasons(found: Explanation) -> None:
    """The shares of the modalities, then the parts that count most."""
    table = Table("what", f"adds to {found.emotion}", title=f"why {found.emotion}")
    table.add_row("nothing given", f"{found.prior:.2f}")
    for modality, share in found.modalities.items():
        table.add_row(modality, f"{share.emotion:+.2f}")
    table.add_section()
    parts = [(f"“{word.text}”", word.weight) for word in found.words or []]
    parts += [(f"{m.start:.1f}-{m.end:.1f} s", m.weight) for m in found.moments or []]
    parts += [
        (f"patch {down + 1}, {across + 1} of the picture", weight)
        for down, row in enumerate(found.patches or [])
        for across, weight in enumerate(row)
    ]
    strongest = sorted(parts, key=lambda part: abs(part[1]), reverse=True)[:SHOWN]
    for name, weight in strongest:
        table.add_row(escape(name), f"{weight:+.3f}")
    Console().print(table)


def _print_event(event: SentimentEvent) -> None:
    console = Console()
    if event.unread:
        console.print(f"{event.model}: nothing could be read, so nothing is claimed")
        return
    verdict = "abstains; its best guess is " if event.abstained else "says "
    console.print(
        f"{event.model} {verdict}[bold]{event.dominant}[/bold], {event.polarity.dominant} "
        f"(sentiment {event.sentiment:+.2f}, confidence {event.confidence:.2f}, "
        f"conflict {event.conflict:.2f})",
        highlight=False,
    )
    table = Table("", *(["together", *event.modalities] if event.modalities else ["together"]))
    opinions = [Opinion(event.emotions, event.polarity)]
    opinions += [event.by_modality[name] for name in event.modalities]
    for part, names in (("emotions", EMOTIONS), ("polarity", POLARITIES)):
        for name in names:
            values = [getattr(getattr(opinion, part), name) for opinion in opinions]
            table.add_row(name, *(f"{value:.2f}" for value in values))
        table.add_section()
    console.print(table)


def _cleaned(image: Path | None, audio: Path | None) -> tuple[bytes | None, bytes | None]:
    given = [(kind, path) for kind, path in (("image", image), ("audio", audio)) if path]
    if not given:
        return None, None
    raw = [RawMedia("image" if kind == "image" else "audio", _read(path)) for kind, path in given]
    clean: dict[str, bytes] = {}
    with MediaCleaner() as cleaner:
        for (kind, path), result in zip(given, cleaner.clean(raw), strict=True):
            if isinstance(result, MediaError):
                raise WeathervaneError(f"{path}: {result.reason}")
            clean[kind] = result.data
    return clean.get("image"), clean.get("audio")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SettingsError(f"cannot read {path}: {error.strerror}") from error
