"""Tracks: what is monitored, as terms, hashtags, authors, languages and platforms in TOML."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

import msgspec

from pipeline.bounds import MAX_TRACKS
from pipeline.errors import SettingsError
from pipeline.post import Post
from pipeline.watched import WatchedFile, read_toml

ALL = "all"
"""The track that every post is in."""

_LETTER = r"[^\W_\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]"
"""A letter or digit of a script that separates its words: not kana, not Chinese characters."""


class Track(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A post is in the track when every condition that is given holds.

    `any`, `all` and `none` are terms or phrases, compared without case and width. A term of
    letters matches whole words; Chinese has no word boundaries, so there it matches anywhere.
    """

    name: str
    any: tuple[str, ...] = ()
    all: tuple[str, ...] = ()
    none: tuple[str, ...] = ()
    hashtags: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()


class _File(msgspec.Struct, forbid_unknown_fields=True):
    track: tuple[Track, ...] = ()


class TrackMatcher:
    """The tracks, compiled. Immutable: a change of tracks makes a new matcher."""

    def __init__(self, tracks: Iterable[Track] = ()) -> None:
        self._tracks = [_Compiled(track) for track in tracks if track.name != ALL]
        self.names = (ALL, *(compiled.track.name for compiled in self._tracks))

    def match(self, post: Post) -> tuple[str, ...]:
        """Names of the tracks that the post is in, `all` first."""
        if not self._tracks:
            return (ALL,)
        text = fold_text(post.text or "")
        return (ALL, *(c.track.name for c in self._tracks if c.matches(post, text)))


class TrackFile(WatchedFile[TrackMatcher]):
    """A TOML file of `[[track]]` tables, read again whenever it changes."""

    def __init__(self, path: Path | None) -> None:
        super().__init__(
            path,
            "tracks",
            lambda path: TrackMatcher(load_tracks(path)),
            TrackMatcher(),
            lambda matcher: matcher.names,
        )


def load_tracks(path: Path) -> tuple[Track, ...]:
    """Read the tracks of a TOML file.

    Raises:
        SettingsError: with the file and what is wrong in it.
    """
    tracks = read_toml(path, _File, "tracks").track
    names = [track.name for track in tracks]
    if len(names) > MAX_TRACKS - 1:
        raise SettingsError(
            f"tracks: {path}: {len(names):,} tracks; at most {MAX_TRACKS - 1} are taken"
        )
    for name in names:
        if not re.fullmatch(r"[\w .&+-]{1,64}", name):
            raise SettingsError(
                f"tracks: {path}: {name!r} is no name: use 1-64 letters, digits, spaces, . & + - _"
            )
        if names.count(name) > 1:
            raise SettingsError(f"tracks: {path}: {name!r} is there twice")
    return tracks


def fold_text(text: str) -> str:
    """Text without differences of case, width and compatibility forms (NFKC, casefold)."""
    return unicodedata.normalize("NFKC", text).casefold()


class _Compiled:
    def __init__(self, track: Track) -> None:
        self.track = track
        self._any = [_pattern(track.any)] if track.any else []
        self._any += [_pattern(f"#{tag.lstrip('#')}" for tag in track.hashtags)] * bool(
            track.hashtags
        )
        self._all = [_pattern([term]) for term in track.all]
        self._none = _pattern(track.none) if track.none else None
        self._authors = frozenset(track.authors)
        self._languages = frozenset(language.lower() for language in track.languages)
        self._platforms = frozenset(track.platforms)

    def matches(self, post: Post, text: str) -> bool:
        """Whether the post, with its folded text, is in the track."""
        if self._platforms and post.platform not in self._platforms:
            return False
        if self._languages and (post.lang or "").split("-")[0].lower() not in self._languages:
            return False
        if self._authors:
            author = post.author
            if author is None or not self._authors & {author.id, author.name}:
                return False
        if self._any and not any(pattern.search(text) for pattern in self._any):
            return False
        if self._none is not None and self._none.search(text):
            return False
        return all(pattern.search(text) for pattern in self._all)


def _pattern(terms: Iterable[str]) -> re.Pattern[str]:
    alternatives = []
    for term in terms:
        folded = fold_text(term.strip())
        start = f"(?<!{_LETTER})" if re.match(_LETTER, folded) else ""
        end = f"(?!{_LETTER})" if re.match(_LETTER, folded[-1:]) else ""
        alternatives.append(start + re.escape(folded) + end)
    return re.compile("|".join(alternatives))
