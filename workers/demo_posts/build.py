"""Rebuild `posts.jsonl.gz`. Run by hand, with the corpora and scikit-image's pictures at hand:

    python -m workers.demo_posts.build --data DIR --pictures SITE_PACKAGES/skimage/data

`DIR` holds `goemotions/train.parquet` and so on (columns `id`, `text`, `emotions`). eSpeak NG must
be installed. The same input gives the same posts.
"""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Iterable
from pathlib import Path

from pipeline.post import Author, Media
from workers.demo_posts import corpora, day, media, stored
from workers.demo_posts.corpora import Row
from workers.demo_posts.stored import StoredPost

BURST_ANGRY = 270
BURST_OTHER = 30
BURST_WORDS = re.compile(r"\b(games?|teams?|players?|coach|season|fans?|played|playing)\b", re.I)
PICTURES = 150
SPOKEN = 60
AUTHORS = 1_400
MAX_SPOKEN_CHARACTERS = {"en": 110, "zh": 32}


def main() -> None:
    """Read, draw, date, illustrate, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, required=True, help="folder of the corpora")
    parser.add_argument("--pictures", type=Path, required=True, help="scikit-image's data folder")
    options = parser.parse_args()

    shown = {corpus.folder: corpora.read(options.data, corpus) for corpus in corpora.CORPORA}
    burst = _burst(shown["goemotions"])
    taken = {row.id for row in burst}
    usual: list[Row] = []
    for corpus in corpora.CORPORA:
        left = [row for row in shown[corpus.folder] if row.id not in taken]
        usual += corpora.draw(left, corpus.rows, corpus.folder)

    attached = _attachments(usual, options.pictures)
    posts = [
        *_dated(usual, attached, burst=False),
        *_dated(burst, {}, burst=True),
    ]
    posts.sort(key=lambda post: post.second)
    size = stored.write(posts)
    print(f"{len(posts)} posts, {len(burst)} of them in the burst, {size:,} bytes")


def _burst(rows: list[Row]) -> list[Row]:
    """Angry posts, those on games and teams first, and a few of the rest."""
    angry = [row for row in rows if row.emotions == ("anger",)]
    on_topic = [row for row in angry if BURST_WORDS.search(row.text)]
    others = [row for row in angry if not BURST_WORDS.search(row.text)]
    calm = [row for row in rows if "anger" not in row.emotions]
    return [
        *on_topic[:BURST_ANGRY],
        *corpora.draw(others, max(0, BURST_ANGRY - len(on_topic)), "angry"),
        *corpora.draw(calm, BURST_OTHER, "calm"),
    ]


def _attachments(rows: list[Row], pictures: Path) -> dict[str, list[Media]]:
    """Pictures and speech by post id: half of each in either language, a few posts with both."""
    attached: dict[str, list[Media]] = {}
    crops = media.crops(pictures, PICTURES, "crops")
    dice = random.Random("speech")
    for lang in ("en", "zh"):
        of_lang = [row for row in rows if row.lang == lang]
        for row in corpora.draw(of_lang, PICTURES // 2, f"pictures {lang}"):
            attached.setdefault(row.id, []).append(crops.pop())
        spoken = 0
        for row in corpora.draw(of_lang, len(of_lang), f"speech {lang}"):
            if spoken == SPOKEN // 2:
                break
            if len(row.text) > MAX_SPOKEN_CHARACTERS[lang]:
                continue
            if sound := media.speech(row.text, lang, dice):
                attached.setdefault(row.id, []).append(sound)
                spoken += 1
    return attached


def _dated(
    rows: Iterable[Row], attached: dict[str, list[Media]], *, burst: bool
) -> Iterable[StoredPost]:
    dice = random.Random("burst" if burst else "day")
    for row in rows:
        second = day.burst_second(dice) if burst else day.usual_second(row.lang, dice)
        yield StoredPost(
            id=row.id,
            lang=row.lang,
            second=second,
            text=row.text,
            emotions=row.emotions,
            author=_author(row.lang, dice),
            media=tuple(attached.get(row.id, ())),
            burst=burst,
        )


def _author(lang: str, dice: random.Random) -> Author:
    """Made up. A few write much; followers are spread as on any platform."""
    number = int(AUTHORS * dice.betavariate(0.8, 1.6))
    followers = int(random.Random(f"{lang}{number}").lognormvariate(4.5, 1.6))
    name = f"Reader {number}" if lang == "en" else f"读者{number}"
    return Author(id=f"demo-{lang}-{number}", name=name, followers=followers)


if __name__ == "__main__":
    main()
