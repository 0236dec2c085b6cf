import io

import numpy as np
import pytest
import soundfile
from transformers import WhisperFeatureExtractor

from models.preprocess import audio, image
from models.preprocess.augment import margin, mask_spectrogram, vary_picture, vary_sound
from tests.models.samples import flac, png


def test_a_picture_becomes_a_square_of_rgb() -> None:
    pixels = image.decode(png(50), 112)
    assert pixels.shape == (112, 112, 3)
    assert pixels.dtype == np.uint8


@pytest.mark.parametrize("data", [b"", b"not a picture", png()[:60], b"GIF89a\x01\x00\x01\x00"])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(image.UnreadableImageError, match="cannot be decoded"):
        image.decode(data, 112)


def test_log_mel_is_whispers() -> None:
    samples, cut = audio.decode(flac(2.0))
    expected = WhisperFeatureExtractor()(
        samples, sampling_rate=audio.RATE, return_tensors="np", padding=False
    ).input_features[0]
    found = audio.log_mel(samples).astype(np.float32)
    assert not cut
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_silence_around_a_sound_is_trimmed() -> None:
    samples, _ = audio.decode(flac(1.0))
    silence = np.zeros(audio.RATE, np.float32)
    trimmed = audio.trim_silence(np.concatenate([silence, samples, silence]))
    assert abs(len(trimmed) - len(samples)) <= 2 * audio.HOP
    assert len(audio.trim_silence(silence)) == len(silence)


def test_a_long_sound_is_cut_and_says_so() -> None:
    samples, cut = audio.decode(flac(16.0))
    assert cut
    assert len(samples) == 15 * audio.RATE


def test_unreadable_sounds_are_refused() -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(0), 16_000, format="FLAC")
    cases = [(b"noise", "cannot be decoded"), (flac(rate=8000), "8000 Hz")]
    for data, reason in cases:
        with pytest.raises(audio.UnreadableAudioError, match=reason):
            audio.decode(data)
    with pytest.raises(audio.UnreadableAudioError):
        audio.decode(buffer.getvalue())


def test_very_short_sounds_have_a_spectrogram() -> None:
    for count in (1, 100, 500):
        assert audio.log_mel(np.full(count, 0.1, np.float32)).shape[1] >= 1


def test_augmentation_keeps_shapes_and_follows_the_seed() -> None:
    pixels = image.decode(png(), 64 + margin(64))
    samples, _ = audio.decode(flac(0.5))
    mel = audio.log_mel(samples)
    for vary in (
        lambda g: vary_picture(pixels, 64, g),
        lambda g: vary_sound(samples, g),
        lambda g: mask_spectrogram(mel, g),
    ):
        first, again = vary(np.random.default_rng(3)), vary(np.random.default_rng(3))
        np.testing.assert_array_equal(first, again)
        assert np.isfinite(first.astype(np.float32)).all()
    assert vary_picture(pixels, 64, np.random.default_rng(1)).shape == (64, 64, 3)
