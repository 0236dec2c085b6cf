"""Tracks: what they match, and how their file is read and read again."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pipeline.errors import SettingsError
from pipeline.post import Author, Post
from pipeline.tracks import Track, TrackFile, TrackMatcher, load_tracks


def post(
    text: str = "",
    *,
    author: Author | None = None,
    lang: str | None = None,
    platform: str = "weathervane",
) -> Post:
    return Post(
        id="w:1",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        text=text,
        author=author,
        lang=lang,
        platform=platform,
    )


@pytest.mark.parametrize(
    ("track", "there", "not_there"),
    [
        (Track("t", any=("cat",)), post("My CAT!"), post("concatenate")),
        (Track("t", any=("tea time",)), post("It is Tea Time."), post("tea at this time")),
        (Track("t", any=("开心",)), post("今天好开心啊"), post("今天好难过")),
        (Track("t", any=("5G",)), post("5G网络"), post("15GB")),
        (Track("t", any=("abc",)), post("ａｂｃ"), post("abcd")),
        (Track("t", hashtags=("launch",)), post("see #Launch!"), post("the launch")),
        (Track("t", all=("a", "b")), post("b or a"), post("b only")),
        (Track("t", any=("x",), none=("spam",)), post("x"), post("x spam")),
        (Track("t", languages=("zh",)), post(lang="zh-Hans"), post(lang="en")),
        (Track("t", platforms=("weibo",)), post(platform="weibo"), post(platform="x")),
        (Track("t", authors=("did:1",)), post(author=Author("did:1")), post()),
    ],
)
def test_what_a_track_matches(track: Track, there: Post, not_there: Post) -> None:
    matcher = TrackMatcher([track])
    assert matcher.match(there) == ("all", "t")
    assert matcher.match(not_there) == ("all",)


def test_a_changed_file_is_in_force_without_restart(tmp_path: Path) -> None:
    path = tmp_path / "tracks.toml"
    path.write_text('[[track]]\nname = "one"\nany = ["a"]\n')
    tracks = TrackFile(path)
    assert tracks.current().names == ("all", "one")
    path.write_text('[[track]]\nname = "two"\nany = ["a"]\n')
    os.utime(path, ns=(1, 1))
    assert tracks.current().names == ("all", "two")
    path.write_text("[[track")
    assert tracks.current().names == ("all", "two")
    path.unlink()
    assert tracks.current().names == ("all", "two")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[[track", "tracks.toml"),
        ('[[track]]\nname = "a"\nanny = ["x"]', "anny"),
        ('[[track]]\nname = "a"\n[[track]]\nname = "a"', "twice"),
        ('[[track]]\nname = "<b>"', "no name"),
    ],
)
def test_a_broken_file_is_explained(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "tracks.toml"
    path.write_text(content)
    with pytest.raises(SettingsError, match=reason):
        load_tracks(path)
