"""What the posts of a spike share that those before it did not. Pure; texts in, words out.

The posts are those that the store keeps as examples of each minute: a bounded sample, the most
confident of each partition. A term is named only where several distinct posts of several authors
hold it, so that no single post can be read from the evidence.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from pipeline.alerts.alert import Alert, Evidence, Term
from pipeline.buckets import Exemplar
from pipeline.post import IngestedPost
from pipeline.tracks import fold_text

EXEMPLARS = 8
TERMS = 10
LOOKED_AT = 200
"""Posts of the spike, and as many before it."""
_SHARED_BY = 3
"""Distinct posts, and authors, that a term needs."""
_Z = 2.0
"""Standard deviations by which the log ratio of a term has to differ from 0."""
_RATIO = 3.0
"""Times by which the share of a term has to have grown: little words drift by less."""
_SHINGLE = 4
_ALIKE = 0.6
"""Jaccard similarity of shingles from which two texts are nearly the same (Broder, 1997)."""
_AMPLIFIED = 0.5

_LINK = re.compile(r"https?://\S+|www\.\S+|@[\w.:-]+")
_TAG = re.compile(r"#(\w+)#?")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_HAN = re.compile(r"[\u3400-\u9fff]+")


class Shown(NamedTuple):
    """A post and what was said of it."""

    exemplar: Exemplar
    post: IngestedPost


Sample = Sequence[Shown]
"""Posts that can still be read: no erased one is among them."""
_Words = Callable[[str], set[str]]


def of_series(exemplar: Exemplar, series: str) -> bool:
    """Whether the post counts for the series."""
    kind, _, name = series.partition(":")
    if kind == "emotion":
        return exemplar.dominant == name
    return kind != "polarity" or exemplar.polarity == name


def with_posts(alert: Alert, now: Sample, before: Sample) -> Evidence:
    """The alert's evidence, completed by what its posts and those before it say."""
    texts = [_normal(post.text) for _, post in now]
    reposts = [post.repost_of is not None for _, post in now]
    near = _near_duplicates(texts)
    amplified = [repost or twin for repost, twin in zip(reposts, near, strict=True)]
    said = Evidence(
        exemplars=_exemplars(now, texts),
        terms=_changed(now, before, _terms),
        hashtags=_changed(now, before, _hashtags),
        repost_share=_share(reposts),
        near_duplicate_share=_share(near),
        organic=None if not amplified else sum(amplified) < _AMPLIFIED * len(amplified),
    )
    return with_posts_of(said, alert.evidence)


def with_posts_of(before: Evidence, now: Evidence) -> Evidence:
    """The sums of `now` with what the posts said in `before`."""
    return msgspec.structs.replace(
        before, languages=now.languages, platforms=now.platforms, conflict=now.conflict
    )


def _exemplars(now: Sample, texts: Sequence[str]) -> tuple[str, ...]:
    """The most confident posts of distinct texts."""
    pairs = zip(now, texts, strict=True)
    ordered = sorted(pairs, key=lambda pair: (-pair[0].exemplar.confidence, pair[0].exemplar.id))
    first: dict[str, str] = {}
    for (exemplar, _), text in ordered:
        first.setdefault(text, exemplar.id)
    return tuple(first.values())[:EXEMPLARS]


def _changed(now: Sample, before: Sample, words: _Words) -> tuple[Term, ...]:
    """Terms by how surely their share grew (log ratio over its standard error)."""
    held, authors = _holders(now, words)
    earlier, _ = _holders(before, words)
    many, few = len(now), len(before)
    found: list[tuple[float, Term]] = []
    for term, count in held.items():
        if count < _SHARED_BY or len(authors[term]) < _SHARED_BY:
            continue
        old = earlier[term]
        ratio = ((count + 0.5) / (many + 1)) / ((old + 0.5) / (few + 1))
        z = math.log(ratio) / math.sqrt(1 / (count + 0.5) + 1 / (old + 0.5))
        if z >= _Z and ratio >= _RATIO:
            share = old / few if few else 0.0
            found.append((z, Term(term, round(count / many, 4), round(share, 4), round(ratio, 2))))
    found.sort(key=lambda pair: (-pair[0], pair[1].term))
    return tuple(term for _, term in found[:TERMS])


def _holders(sample: Sample, words: _Words) -> tuple[Counter[str], dict[str, set[str]]]:
    """How many posts hold each term, and whose they are; equal texts of one author count once."""
    counts: Counter[str] = Counter()
    authors: dict[str, set[str]] = {}
    seen: set[tuple[str, str]] = set()
    for _, post in sample:
        author = post.author.id if post.author else post.id
        text = fold_text(post.text or "")
        if (author, text) in seen:
            continue
        seen.add((author, text))
        for term in words(text):
            counts[term] += 1
            authors.setdefault(term, set()).add(author)
    return counts, authors


def _terms(text: str) -> set[str]:
    """Words of three letters or more; pairs of Chinese characters, which have no spaces."""
    plain = _TAG.sub(" ", _LINK.sub(" ", text))
    found = {word for word in _WORD.findall(_HAN.sub(" ", plain)) if len(word) > 2}
    for run in _HAN.findall(plain):
        found |= {run[at : at + 2] for at in range(len(run) - 1)}
    return found


def _hashtags(text: str) -> set[str]:
    return {f"#{tag}" for tag in _TAG.findall(text)}


def _normal(text: str | None) -> str:
    """A text without what bots vary: case, links, mentions, digits, punctuation."""
    plain = _LINK.sub(" ", fold_text(text or ""))
    return " ".join(_WORD.findall(plain))


def _near_duplicates(texts: Sequence[str]) -> list[bool]:
    """Whether another text is nearly the same, for each; a text without words never is."""
    shingles = [_shingles(text) for text in texts]
    found = [False] * len(texts)
    for one, mine in enumerate(shingles):
        for other in range(one):
            theirs = shingles[other]
            if (found[one] and found[other]) or not mine or not theirs:
                continue
            if _alike(mine, theirs):
                found[one] = found[other] = True
    return found


def _shingles(text: str) -> set[str]:
    return {text[at : at + _SHINGLE] for at in range(max(len(text) - _SHINGLE + 1, bool(text)))}


def _alike(one: set[str], other: set[str]) -> bool:
    small, large = sorted((len(one), len(other)))
    if small < _ALIKE * large:
        return False
    common = len(one & other)
    return common >= _ALIKE * (small + large - common)


def _share(flags: Sequence[bool]) -> float | None:
    return round(sum(flags) / len(flags), 4) if flags else None
