"""Decode and validate a canonical post: one typed decode against json and a walk over fields."""

from __future__ import annotations

import json
from datetime import datetime

import msgspec

from benchmarks.harness import compare, report
from pipeline.platforms import canonical
from pipeline.post import Post

POSTS = 20_000


def main() -> None:
    """Print the table."""
    raw = [
        json.dumps(
            {
                "id": f"weathervane:{n}",
                "created_at": "2026-03-01T12:00:00Z",
                "author": {"id": str(n), "name": "someone", "followers": n},
                "lang": "en",
                "text": "the quick brown fox jumps over the lazy dog " * 4,
            }
        ).encode()
        for n in range(POSTS)
    ]
    strict = msgspec.json.Decoder(Post)
    assert canonical.decode(raw[0]) == strict.decode(raw[0])

    def ours() -> int:
        for value in raw:
            canonical.decode(value)
        return POSTS

    def typed() -> int:
        for value in raw:
            strict.decode(value)
        return POSTS

    def plain() -> int:
        for value in raw:
            _walk(json.loads(value))
        return POSTS

    candidates = {
        "weathervane": ours,
        "msgspec, types only": typed,
        "json and a walk over fields": plain,
    }
    report("codec", "posts", compare(candidates), "weathervane")


def _walk(data: dict[str, object]) -> dict[str, object]:
    for name in ("id", "created_at", "text", "lang"):
        if not isinstance(data.get(name), str):
            raise TypeError(name)
    data["created_at"] = datetime.fromisoformat(str(data["created_at"]))
    return data
