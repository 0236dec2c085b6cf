"""Good pictures and sounds of every format that is read, made here."""

from __future__ import annotations

import io
import itertools
import math
import os
import signal
import sys
import time
import traceback
from array import array
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import av
import numpy as np
import pytest
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from PIL import ExifTags, Image

from pipeline.media import CleanMedia, MediaCleaner, MediaError, RawMedia

RATE = 44_100


@pytest.fixture(scope="module")
def cleaner() -> Iterator[MediaCleaner]:
    with MediaCleaner() as cleaner:
        yield cleaner


def picture(name: str, size: tuple[int, int] = (600, 300), mode: str = "RGB") -> bytes:
    """Left half red, right half blue."""
    image = Image.new("RGB", size, "red")
    image.paste("blue", (size[0] // 2, 0, *size))
    out = io.BytesIO()
    image.convert(mode).save(out, name)
    return out.getvalue()


def deep_picture() -> bytes:
    """The same in grey, as a PNG of 16 bits a pixel."""
    grey = np.asarray(Image.open(io.BytesIO(picture("PNG", mode="L"))), dtype=np.uint16)
    out = io.BytesIO()
    Image.fromarray(grey * 257).save(out, "PNG")
    return out.getvalue()


def tone(container: str, codec: str, sample_format: str, seconds: float = 1.0) -> bytes:
    """A stereo tone of 440 Hz."""
    rate = 48_000 if codec == "libopus" else RATE
    samples = array(
        "h",
        (
            round(8000 * math.sin(2 * math.pi * 440 * (n // 2) / rate))
            for n in range(2 * round(rate * seconds))
        ),
    )
    frame = AudioFrame("s16", "stereo", len(samples) // 2)
    frame.rate = rate
    frame.planes[0].update(samples.tobytes())
    out = io.BytesIO()
    with av.open(out, "w", format=container) as sink:
        # FFmpeg's own Vorbis encoder calls itself an experiment.
        experiment = {"strict": "experimental"} if codec == "vorbis" else {}
        stream = sink.add_stream(codec, rate, experiment, layout="stereo", format=sample_format)
        assert isinstance(stream, AudioStream)
        for packet in (*stream.encode(frame), *stream.encode(None)):
            sink.mux(packet)
    return out.getvalue()


def one(cleaner: MediaCleaner, kind: Literal["image", "audio"], data: bytes) -> CleanMedia:
    [answer] = cleaner.clean([RawMedia(kind, data)])
    assert isinstance(answer, CleanMedia), answer
    return answer


def opened(answer: CleanMedia) -> Image.Image:
    assert answer.mime == "image/jpeg"
    return Image.open(io.BytesIO(answer.data), formats=["JPEG"])


def near(pixel: object, colour: tuple[int, int, int]) -> bool:
    assert isinstance(pixel, tuple)
    return all(abs(a - b) < 25 for a, b in zip(pixel, colour, strict=True))


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("JPEG", "RGB"),
        ("JPEG", "L"),
        ("JPEG", "CMYK"),
        ("PNG", "RGB"),
        ("PNG", "P"),
        ("PNG", "1"),
        ("PNG", "LA"),
        ("PNG", "I;16"),
        ("WEBP", "RGB"),
        ("WEBP", "RGBA"),
    ],
)
def test_picture_becomes_small_jpeg(cleaner: MediaCleaner, name: str, mode: str) -> None:
    source = deep_picture() if mode == "I;16" else picture(name, mode=mode)
    result = opened(one(cleaner, "image", source))
    assert result.size == (256, 128)
    assert result.mode == "RGB"
    if mode in {"RGB", "RGBA", "P", "CMYK"}:
        assert near(result.getpixel((20, 64)), (255, 0, 0))
        assert near(result.getpixel((236, 64)), (0, 0, 255))
    elif mode != "1":
        assert near(result.getpixel((20, 64)), (76, 76, 76))


def test_small_pictures_keep_their_size(cleaner: MediaCleaner) -> None:
    for size in ((2, 1), (40, 7), (256, 256)):
        assert opened(one(cleaner, "image", picture("PNG", size))).size == size


def test_extreme_shapes_keep_one_pixel(cleaner: MediaCleaner) -> None:
    assert opened(one(cleaner, "image", picture("PNG", (20_000, 2)))).size == (256, 1)
    out = io.BytesIO()
    Image.open(io.BytesIO(picture("PNG", (20_000, 2)))).rotate(90, expand=True).save(out, "PNG")
    assert opened(one(cleaner, "image", out.getvalue())).size == (1, 256)


def test_transparency_is_laid_over_white(cleaner: MediaCleaner) -> None:
    out = io.BytesIO()
    image = Image.new("RGBA", (300, 300), (0, 0, 0, 0))
    image.paste("red", (100, 100, 200, 200))
    image.save(out, "PNG")
    assert near(opened(one(cleaner, "image", out.getvalue())).getpixel((9, 9)), (255, 255, 255))


def test_orientation_is_applied_and_metadata_dropped(cleaner: MediaCleaner) -> None:
    image = Image.open(io.BytesIO(picture("PNG")))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Artist] = "somebody"
    out = io.BytesIO()
    image.save(out, "JPEG", exif=exif, comment=b"remark")
    answer = one(cleaner, "image", out.getvalue())
    result = opened(answer)
    assert result.size == (128, 256)
    assert near(result.getpixel((64, 20)), (255, 0, 0))
    assert not result.getexif()
    assert b"somebody" not in answer.data
    assert b"remark" not in answer.data


@pytest.mark.parametrize(
    ("container", "codec", "sample_format"),
    [
        ("wav", "pcm_s16le", "s16"),
        ("wav", "pcm_f32le", "flt"),
        ("flac", "flac", "s16"),
        ("ogg", "vorbis", "fltp"),
        ("ogg", "libopus", "s16"),
        ("mp3", "libmp3lame", "s16p"),
        ("mp4", "aac", "fltp"),
        ("webm", "libopus", "s16"),
    ],
)
def test_sound_becomes_16_khz_mono_flac(
    cleaner: MediaCleaner, container: str, codec: str, sample_format: str
) -> None:
    rate, channels, samples = decoded(one(cleaner, "audio", tone(container, codec, sample_format)))
    assert (rate, channels) == (16_000, 1)
    assert 15_000 < len(samples) < 18_000
    crossings = sum(a < 0 <= b for a, b in itertools.pairwise(samples[2000:12_000]))
    assert crossings == pytest.approx(440 * 10_000 / 16_000, rel=0.02)


def test_sound_is_kept_for_15_seconds(cleaner: MediaCleaner) -> None:
    *_, samples = decoded(one(cleaner, "audio", tone("flac", "flac", "s16", seconds=18)))
    assert len(samples) == 15 * 16_000


def decoded(answer: CleanMedia) -> tuple[int, int, array[int]]:
    assert answer.mime == "audio/flac"
    with av.open(io.BytesIO(answer.data), mode="r", format="flac") as container:
        context = container.streams.audio[0].codec_context
        pcm = b"".join(
            bytes(frame.planes[0])[: 2 * frame.samples] for frame in container.decode(audio=0)
        )
        return context.sample_rate, context.channels, array("h", pcm)


def test_answers_keep_their_order(cleaner: MediaCleaner) -> None:
    sound, image = tone("wav", "pcm_s16le", "s16", 0.2), picture("PNG")
    items = [
        RawMedia("image", image),
        RawMedia("audio", b"nonsense"),
        RawMedia("audio", sound),
        RawMedia("image", sound),
    ]
    answers = cleaner.clean(items)
    kinds = [answer.mime if isinstance(answer, CleanMedia) else None for answer in answers]
    assert kinds == ["image/jpeg", None, "audio/flac", None]


def test_child_killed_between_items_blames_no_item(cleaner: MediaCleaner) -> None:
    one(cleaner, "image", picture("PNG"))
    first = cleaner.pid
    assert first
    os.kill(first, signal.SIGKILL)
    os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT)
    one(cleaner, "image", picture("PNG"))
    assert cleaner.pid != first


def test_child_killed_midway_costs_one_item(cleaner: MediaCleaner) -> None:
    one(cleaner, "image", picture("PNG"))
    child = cleaner.pid
    assert child
    os.kill(child, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        image = RawMedia("image", picture("PNG"))
        waiting = pool.submit(cleaner.clean, [image, image])
        wait_for_thread_in("receive")
        os.kill(child, signal.SIGKILL)
        lost, kept = waiting.result(timeout=30)
    assert lost == MediaError("decoding the picture ended the decoder")
    assert isinstance(kept, CleanMedia)


def wait_for_thread_in(function: str, seconds: float = 30) -> None:
    """Until another thread runs this function: here, the parent waits for the child's answer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        for frame in sys._current_frames().values():
            if any(entry.f_code.co_name == function for entry, _ in traceback.walk_stack(frame)):
                return
        time.sleep(0.01)
    raise AssertionError(f"no thread in {function}")


def test_child_that_overruns_is_replaced() -> None:
    with MediaCleaner(seconds_per_item=0.5) as cleaner:
        one(cleaner, "image", picture("PNG"))
        child = cleaner.pid
        assert child
        os.kill(child, signal.SIGSTOP)
        image = RawMedia("image", picture("PNG"))
        late, kept = cleaner.clean([image, image])
        reason = "the picture takes more than 0.5 s to decode"
        assert late == MediaError(reason, "too_long_to_decode")
        assert isinstance(kept, CleanMedia)
        assert cleaner.pid != child


def test_close_leaves_no_process() -> None:
    cleaner = MediaCleaner()
    assert cleaner.pid is None
    one(cleaner, "image", picture("PNG"))
    child = cleaner.pid
    cleaner.close()
    assert child
    assert not Path(f"/proc/{child}").exists()


def test_child_gets_no_environment_and_no_new_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WEATHERVANE_SALT", "a secret of the parent")
    with MediaCleaner() as cleaner:
        one(cleaner, "image", picture("PNG"))
        proc = Path(f"/proc/{cleaner.pid}")
        assert b"secret" not in (proc / "environ").read_bytes()
        limits = {
            line[:25].strip(): line.split() for line in (proc / "limits").read_text().splitlines()
        }
        for name in ("Max open files", "Max file size", "Max core file size"):
            assert limits[name][-3:-1] == ["0", "0"]
        assert limits["Max address space"][-3] != "unlimited"
        assert limits["Max data size"][-3] != "unlimited"
