"""Sounds of common formats in, at most 15 seconds of 16 kHz mono FLAC out."""

from __future__ import annotations

import io
import math
from array import array
from collections.abc import Iterator

import av
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer

from pipeline.media.formats import sniff_sound, without_tag
from pipeline.media.nothing import is_silent
from pipeline.media.unusable import Unusable
from pipeline.media.wav import with_true_length

SAMPLE_RATE = 16_000
MAX_SECONDS = 15
MIN_SAMPLES = 400
"""25 ms: one frame of a spectrogram."""
_BYTES_PER_SAMPLE = 2
_MAX_BYTES = MAX_SECONDS * SAMPLE_RATE * _BYTES_PER_SAMPLE
_RATES = range(4_000, 384_001)
_CHANNELS = range(1, 9)
_CUT_OFF_SECONDS = 0.5
"""By how much a sound may fall short of what its header promises (encoder delay, rounding)."""
_OPTIONS = {
    "codec_whitelist": "pcm_u8,pcm_s8,pcm_s16le,pcm_s24le,pcm_s32le,pcm_f32le,pcm_f64le,pcm_alaw,"
    "pcm_mulaw,pcm_s16be,pcm_s24be,pcm_s32be,pcm_f32be,pcm_f64be,adpcm_ms,adpcm_ima_wav,"
    "adpcm_ima_qt,gsm_ms,flac,vorbis,libvorbis,opus,libopus,mp3float,mp3,mp2float,mp2,aac,alac,"
    "amrnb,amrwb",
    "protocol_whitelist": "",
    "enable_drefs": "0",
    # The headers say all that is needed; looking through 5 MB first took most of the time.
    "probesize": "65536",
}
_DEMUXERS = {
    "WAV": "wav",
    "FLAC": "flac",
    "Ogg": "ogg",
    "MP3": "mp3",
    "MP4": "mp4",
    "WebM": "matroska",
    "AAC": "aac",
    "AMR": "amr",
    "CAF": "caf",
    "AIFF": "aiff",
}
_FLOATS = {
    "pcm_f32le": "f",
    "pcm_f64le": "d",
    "pcm_f32be": "f",
    "pcm_f64be": "d",
}
_MAX_BROKEN = 0.1
_WITHOUT_LENGTH = {"MP3", "AAC", "AMR"}
"""Frames one after the other: no header says how many, and the last may be cut."""


def clean_audio(data: bytes) -> bytes:
    """FLAC, 16 kHz, mono, 16 bits, of the first 15 seconds. Decoding stops there.

    Of a film, its sound.

    Raises:
        Unusable: another format, no sound in it, an absurd rate, cut off or broken.
        MemoryError: the decoder asked for more than the process may have.
    """
    data = without_tag(data)
    name = sniff_sound(data)
    if name == "Ogg":
        _check_last_page(data)
    if name == "WAV":
        data = with_true_length(data)
    try:
        source, demuxer = io.BytesIO(data), _DEMUXERS[name]
        with av.open(source, mode="r", format=demuxer, options=_OPTIONS) as container:
            pcm = _decode(name, container)
    except av.error.MemoryError as error:
        raise MemoryError from error
    except (av.FFmpegError, ValueError) as error:
        text = getattr(error, "strerror", None) or str(error)
        raise Unusable(f"the {name} cannot be decoded: {text}") from error
    if len(pcm) < MIN_SAMPLES * _BYTES_PER_SAMPLE:
        raise Unusable(
            f"the {name} holds {len(pcm) // 32} ms of sound; at least "
            f"{1000 * MIN_SAMPLES // SAMPLE_RATE} are needed",
            "no_sound",
        )
    if is_silent(pcm):
        raise Unusable(f"the {name} is silent: nothing in it is louder than −60 dBFS", "no_sound")
    return _flac(pcm)


def _check_last_page(data: bytes) -> None:
    """Ogg has no length in its header; a file that was cut ends within a page (RFC 3533)."""
    start = data.rfind(b"OggS")
    lacing = data[start + 27 :][: data[start + 26]] if start + 26 < len(data) else b""
    if not lacing or start + 27 + data[start + 26] + sum(lacing) > len(data):
        raise Unusable(f"the Ogg is cut off after {len(data):,} bytes")


def _decode(name: str, container: InputContainer) -> bytes:
    """At most 15 seconds as s16 mono at 16 kHz."""
    if not container.streams.audio:
        raise Unusable(f"the {name} has no sound in it", "no_sound")
    stream = container.streams.audio[0]
    context = stream.codec_context
    if context.sample_rate not in _RATES or context.channels not in _CHANNELS:
        raise Unusable(
            f"the {name} claims {context.sample_rate} samples a second and "
            f"{context.channels or 'no or too many'} channels; "
            f"{_RATES[0]} to {_RATES[-1]} and 1 to {_CHANNELS[-1]} are read"
        )
    context.thread_count = 1
    pcm = bytearray()
    resampler = AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
    for frame in _frames(name, container, stream):
        for resampled in resampler.resample(frame):
            pcm += bytes(resampled.planes[0])[: resampled.samples * _BYTES_PER_SAMPLE]
        if len(pcm) >= _MAX_BYTES:
            return bytes(pcm[:_MAX_BYTES])
    _check_complete(name, stream, len(pcm) / (SAMPLE_RATE * _BYTES_PER_SAMPLE))
    return bytes(pcm)


def _frames(
    name: str, container: InputContainer, stream: AudioStream
) -> Iterator[AudioFrame | None]:
    """The decoded frames, then None, which flushes the resampler."""
    floats = _FLOATS.get(stream.codec_context.name)
    for frame in _decoded(name, container, stream):
        if floats and not math.isfinite(sum(array(floats, bytes(frame.planes[0])))):
            raise Unusable(f"the {name} holds samples that are no finite numbers")
        yield frame
    yield None


def _decoded(name: str, container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame]:
    """Where no header says how many frames there are, a few may be broken: they are left out."""
    if name not in _WITHOUT_LENGTH:
        yield from container.decode(stream)
        return
    good = bad = 0
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            bad += 1
            if bad > 1 + good * _MAX_BROKEN:
                raise
        else:
            good += len(frames)
            yield from frames


def _check_complete(name: str, stream: AudioStream, seconds: float) -> None:
    """Compare with the header, where there is one that can be relied on."""
    if name in _WITHOUT_LENGTH or not stream.duration or not stream.time_base:
        return
    promised = float(stream.duration * stream.time_base)
    if seconds < min(promised, MAX_SECONDS) - _CUT_OFF_SECONDS:
        raise Unusable(
            f"the {name} is cut off: its header promises {promised:,.1f} s of sound, "
            f"{seconds:,.1f} s are there"
        )


def _flac(pcm: bytes) -> bytes:
    out = io.BytesIO()
    with av.open(out, "w", format="flac") as container:
        stream = container.add_stream("flac", rate=SAMPLE_RATE, layout="mono", format="s16")
        frame = AudioFrame("s16", "mono", len(pcm) // _BYTES_PER_SAMPLE)
        frame.rate = SAMPLE_RATE
        frame.planes[0].update(pcm)
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    return out.getvalue()
