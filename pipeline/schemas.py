"""JSON Schema (2020-12) of what stands in the topics: `python -m pipeline.schemas docs/schemas`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import msgspec

from pipeline.alerts.alert import Alert, AlertCommand
from pipeline.deletion import Deletion
from pipeline.event import SentimentEvent
from pipeline.post import IngestedPost, Post
from pipeline.shedding import Shed
from pipeline.tracks import Track

SCHEMAS: dict[str, type] = {
    "post": Post,
    "ingested-post": IngestedPost,
    "sentiment-event": SentimentEvent,
    "shed": Shed,
    "deletion": Deletion,
    "track": Track,
    "alert": Alert,
    "alert-command": AlertCommand,
}


def schema(name: str) -> dict[str, Any]:
    """The schema of one of SCHEMAS."""
    found = msgspec.json.schema(SCHEMAS[name])
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **found}


def text_of(name: str) -> str:
    """The schema as it stands in its file."""
    return json.dumps(schema(name), indent=2, ensure_ascii=False) + "\n"


def main(folder: Path) -> None:
    """Write every schema to the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in SCHEMAS:
        (folder / f"{name}.json").write_text(text_of(name), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
