"""The attachments of a canonical post, each read for what is good of it."""

from __future__ import annotations

import base64
from typing import cast, get_args
from urllib.parse import unquote_to_bytes

import msgspec

from pipeline.media.reasons import UnreadReason
from pipeline.post import Media, MediaKind, UnreadMedia

_KINDS = get_args(MediaKind)
_STANDARD = bytes.maketrans(b"-_", b"+/")


def media_of(value: object) -> tuple[tuple[Media, ...], tuple[UnreadMedia, ...]]:
    """The attachments, each in its place, and those of them that nothing can be made of."""
    if value is None:
        return (), ()
    media: list[Media] = []
    unread: list[UnreadMedia] = []
    for index, item in enumerate(value if isinstance(value, list) else [value]):
        try:
            media.append(msgspec.convert(item, Media))
        except msgspec.ValidationError:
            attachment, reason = _part(item)
            media.append(attachment)
            if reason is not None:
                unread.append(UnreadMedia(index, attachment.kind, reason))
    return tuple(media), tuple(unread)


def _part(item: object) -> tuple[Media, UnreadReason | None]:
    """What is good of an attachment that is not as it should be, and why it is not read."""
    if not isinstance(item, dict):
        return Media(kind="image"), "malformed"
    texts = {name: item.get(name) for name in ("mime", "url", "alt")}
    good = {name: text for name, text in texts.items() if isinstance(text, str)}
    given = item.get("bytes")
    mime = good.get("mime")
    if mime is None and isinstance(given, str):
        mime = _mime_of(given)
    attachment = Media(
        _kind(item.get("kind"), mime or ""), mime, good.get("url"), alt=good.get("alt")
    )
    if given is None:
        return attachment, None if "url" in good else "malformed"
    data = _decoded(given) if isinstance(given, str) else None
    if data is None:
        return attachment, "bad_encoding"
    return msgspec.structs.replace(attachment, data=data), None


def _kind(kind: object, mime: str) -> MediaKind:
    """As given, or else as the MIME type says, or else a picture."""
    named = kind.strip().lower() if isinstance(kind, str) else ""
    family = mime.partition("/")[0].strip().lower()
    found = next((name for name in (named, family) if name in _KINDS), "image")
    return cast(MediaKind, found)


def _mime_of(text: str) -> str | None:
    """The MIME type of a `data:` URL, where it names one."""
    scheme, _, rest = text[:200].lstrip().partition(":")
    named = rest.partition(",")[0].partition(";")[0].strip()
    return named if scheme.lower() == "data" and "/" in named else None


def _decoded(text: str) -> bytes | None:
    """Base64 as programs write it: in lines, without its padding, of the alphabet for URLs, or in
    a `data:` URL (RFC 2397). None where it is none of them.
    """
    try:
        packed = text.encode("ascii").strip()
        if packed[:5].lower() == b"data:":
            head, _, body = packed.partition(b",")
            if not head.lower().rstrip().endswith(b";base64"):
                return None
            packed = unquote_to_bytes(body)
        packed = b"".join(packed.split()).translate(_STANDARD).rstrip(b"=")
        return base64.b64decode(packed + b"=" * (-len(packed) % 4), validate=True)
    except ValueError:
        return None
