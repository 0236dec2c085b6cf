"""What bytes are, by their content: names and MIME types are not believed."""

from __future__ import annotations

from pipeline.media.unusable import Unusable

PICTURES = ("JPEG", "PNG", "WebP", "GIF", "AVIF", "HEIC")
SOUNDS = ("WAV", "FLAC", "Ogg", "MP3", "MP4", "WebM", "AAC", "AMR", "CAF", "AIFF")
_FILMS = ("MP4", "WebM", "Ogg")
"""Formats that hold pictures that move, sounds, or both."""
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"}
_MP4_BOXES = {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"}
_MAGIC = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"fLaC", "FLAC"),
    (b"OggS", "Ogg"),
    (b"\x1a\x45\xdf\xa3", "WebM"),
    (b"#!AMR", "AMR"),
    (b"caff", "CAF"),
)


def sniff_picture(data: bytes) -> str:
    """One of `PICTURES`. Raises Unusable for anything else."""
    name = _sniff(data)
    if name in PICTURES:
        return name
    if name is None:
        raise Unusable(f"the picture is {_neither(PICTURES)}, whatever its name says",
                       "unknown_format")  # fmt: skip
    what = "a film or a sound" if name in _FILMS else "a sound"
    raise Unusable(f"the picture is {what} ({name})", "wrong_kind")


def sniff_sound(data: bytes) -> str:
    """One of `SOUNDS`. Raises Unusable for anything else."""
    name = _sniff(data)
    if name in SOUNDS:
        return name
    if name is None:
        raise Unusable(f"the sound is {_neither(SOUNDS)}, whatever its name says", "unknown_format")
    raise Unusable(f"the sound is a picture ({name})", "wrong_kind")


def without_tag(data: bytes) -> bytes:
    """The sound behind its ID3v2 tags, which may hold a whole picture (ID3v2.4, section 3.1)."""
    while data[:3] == b"ID3" and len(data) > 10:
        size = 0
        for byte in data[6:10]:
            size = size << 7 | byte & 0x7F
        data = data[10 + size + (10 if data[5] & 0x10 else 0) :].lstrip(b"\0")
    return data


def _neither(names: tuple[str, ...]) -> str:
    return f"neither {', '.join(names[:-1])} nor {names[-1]}"


def _sniff(data: bytes) -> str | None:
    for magic, name in _MAGIC:
        if data.startswith(magic):
            return name
    kind, box = data[8:12], data[4:8]
    if data[:4] in {b"RIFF", b"RF64"}:
        return {b"WAVE": "WAV", b"WEBP": "WebP"}.get(kind)
    if data[:4] == b"FORM" and kind in {b"AIFF", b"AIFC"}:
        return "AIFF"
    if box in _MP4_BOXES:
        return _of_brand(data) if box == b"ftyp" else "MP4"
    return _of_mpeg(data)


def _of_mpeg(data: bytes) -> str | None:
    """Eleven sync bits, and a layer; where that is 0, AAC's own framing (ADTS)."""
    if data.startswith(b"ID3"):
        return "MP3"
    if len(data) < 2 or data[0] != 0xFF or data[1] & 0xE0 != 0xE0:
        return None
    if data[1] & 0x06:
        return "MP3"
    return "AAC" if data[1] & 0xF0 == 0xF0 else None


def _of_brand(data: bytes) -> str:
    """Pictures and films share a container; its brands tell (ISO 14496-12, 4.3)."""
    size = min(int.from_bytes(data[:4], "big"), 256)
    brands = [data[8:12], *(data[at : at + 4] for at in range(16, size - 3, 4))]
    for names, name in ((_AVIF_BRANDS, "AVIF"), (_HEIC_BRANDS, "HEIC")):
        if brands[0] in names or (brands[0] in {b"mif1", b"msf1"} and names & set(brands)):
            return name
    return "HEIC" if brands[0] in {b"mif1", b"msf1"} else "MP4"
