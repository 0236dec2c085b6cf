"""The page's files: languages complete, colours apart and readable, nothing from elsewhere."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
from pathlib import Path

import pytest

import workers

PAGE = Path(workers.__file__).parent / "page"
SCRIPTS = sorted(PAGE.glob("*.js"))
EMOTIONS = ("joy", "surprise", "neutral", "sadness", "fear", "disgust", "anger")
# Machado, Oliveira, Fernandes (2009), severity 1, on linear RGB.
EYES = {
    "trichromat": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protan": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deutan": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritan": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
}
Vector = tuple[float, ...]


def messages(language: str) -> dict[str, str]:
    loaded: dict[str, str] = json.loads((PAGE / f"i18n/{language}.json").read_text("utf-8"))
    return loaded


def test_both_languages_have_the_same_messages_with_the_same_places() -> None:
    english, chinese = messages("en"), messages("zh")
    assert list(english) == list(chinese)
    for key in english:
        places = [sorted(set(re.findall(r"\{(\w+)\}", text[key]))) for text in (english, chinese)]
        assert places[0] == places[1], key
    assert not [key for key, text in chinese.items() if not text.strip()]


def test_every_message_that_is_asked_for_exists_and_none_is_left_over() -> None:
    sources = [path.read_text("utf-8") for path in [*SCRIPTS, PAGE / "index.html"]]
    asked: set[str] = set()
    prefixes: set[str] = set()
    for source in sources:
        asked |= set(re.findall(r"""\bt\(\s*"([\w.]+)\"""", source))
        asked |= set(re.findall(r"""data-i18n(?:-label)?="([\w.]+)\"""", source))
        asked |= set(re.findall(r"""["']([\w.]+)["']""", source)) & set(messages("en"))
        prefixes |= set(re.findall(r"`([\w.]+\.)\$\{", source))
    known = set(messages("en"))
    assert asked <= known
    unused = {key for key in known - asked if not key.startswith(tuple(prefixes))}
    assert not unused


def test_nothing_is_loaded_from_elsewhere_and_no_markup_is_parsed() -> None:
    html = (PAGE / "index.html").read_text("utf-8")
    assert not re.findall(r"""(?:src|href)="(?!/)[^"]*\"""", html.replace('href="#main"', ""))
    assert not re.findall(r"\son\w+=|\sstyle=|<script(?![^>]*\ssrc=)", html)
    for path in SCRIPTS:
        source = path.read_text("utf-8")
        assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", source), path.name
        for banned in ("insertAdjacentHTML", "outerHTML", "document.write", "eval(", "cssText"):
            assert banned not in source, f"{banned} in {path.name}"
        assert not re.findall(r"innerHTML\s*[+=]?=(?! \"\")", source), path.name
    css = (PAGE / "style.css").read_text("utf-8")
    assert "url(" not in css
    assert "@import" not in css


def test_the_vendored_library_is_the_one_its_table_names() -> None:
    table = (PAGE / "vendor/README.md").read_text("utf-8")
    name, version, digest = re.findall(r"`(\S+\.js)` .*\| ([\d.]+) \| `(\w{64})`", table)[0]
    content = (PAGE / "vendor" / name).read_bytes()
    assert hashlib.sha256(content).hexdigest() == digest
    assert f'version="{version}"'.encode() in content
    for licence in ("LICENSE", "NOTICE", "LICENSE-zrender", "LICENSE-d3"):
        assert (PAGE / "vendor" / licence).stat().st_size > 50


def palettes() -> dict[str, dict[str, str]]:
    css = (PAGE / "style.css").read_text("utf-8")
    light, dark = re.findall(r":root \{(.*?)\n\s*\}", css, re.DOTALL)[:2]
    found = [dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block)) for block in (light, dark)]
    return {"light": found[0], "dark": found[0] | found[1]}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_has_the_contrast_of_wcag_aa(theme: str) -> None:
    colours = palettes()[theme]
    for text, ground, least in [
        ("ink", "paper", 7.0),
        ("ink", "raised", 7.0),
        ("ink", "accent-wash", 7.0),
        ("muted", "paper", 4.5),
        ("muted", "raised", 4.5),
        ("muted", "accent-wash", 4.5),
        ("accent", "paper", 4.5),
        ("on-accent", "accent", 4.5),
        ("positive", "paper", 3.0),
        ("negative", "paper", 3.0),
    ]:
        assert contrast(colours[text], colours[ground]) >= least, f"{text} on {ground}"


@pytest.mark.parametrize("eye", EYES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_colours_of_emotions_are_told_apart_by_every_eye(theme: str, eye: str) -> None:
    colours = [oklab(seen(palettes()[theme][name], eye)) for name in EMOTIONS]
    for (at, one), (to, other) in itertools.combinations(enumerate(colours), 2):
        least = 12 if to == at + 1 else 9
        assert 100 * math.dist(one, other) >= least, f"{EMOTIONS[at]} and {EMOTIONS[to]}"


def linear(colour: str) -> Vector:
    parts = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return tuple(p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)


def times(matrix: tuple[Vector, ...], vector: Vector) -> Vector:
    return tuple(sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix)


def seen(colour: str, eye: str) -> Vector:
    return tuple(min(1.0, max(0.0, part)) for part in times(EYES[eye], linear(colour)))


def oklab(rgb: Vector) -> Vector:
    """Ottosson, "A perceptual color space for image processing" (2020)."""
    lms = times(
        (
            (0.4122214708, 0.5363325363, 0.0514459929),
            (0.2119034982, 0.6806995451, 0.1073969566),
            (0.0883024619, 0.2817188376, 0.6299787005),
        ),
        rgb,
    )
    return times(
        (
            (0.2104542553, 0.7936177850, -0.0040720468),
            (1.9779984951, -2.4285922050, 0.4505937099),
            (0.0259040371, 0.7827717662, -0.8086757660),
        ),
        tuple(math.cbrt(part) for part in lms),
    )


def contrast(one: str, other: str) -> float:
    """WCAG 2.2 contrast ratio."""
    light, dark = sorted(
        (
            sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear(c), strict=True))
            for c in (one, other)
        ),
        reverse=True,
    )
    return (light + 0.05) / (dark + 0.05)
