"""Scoring one post here and now, the same way as in the pipeline: clean, prepare, predict."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from models.errors import ItemError
from models.predictor import Predictor
from models.prepare import Item, Preparer
from models.registry import find_release
from pipeline.errors import SettingsError, WeathervaneError
from pipeline.event import EMOTIONS, POLARITIES, Opinion, SentimentEvent
from pipeline.media import MediaCleaner, MediaError, RawMedia
from pipeline.post import IngestedPost, encoder
from pipeline.settings import Settings
from workers.infer import to_event


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
    now = datetime.now(UTC)
    post = IngestedPost(id="weathervane:score", created_at=now, text=text, tracks=("all",))
    return to_event(post, prediction, predictor.name, None, now)


def print_score(
    settings: Settings, text: str | None, image: Path | None, audio: Path | None, as_json: bool
) -> None:
    """Print the event, or a table of what each modality says."""
    event = score(settings, text, image, audio)
    if as_json:
        print(encoder.encode(event).decode())
        return
    console = Console()
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
