"""MFCC, and sound files of other rates."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from models.preprocess.audio import RATE, UnreadableAudioError, decode
from models.preprocess.cepstrum import mfcc
from models.preprocess.sound_files import read_sound, resample


def test_mfcc_is_the_orthonormal_cosine_transform_of_each_frame() -> None:
    mel = np.random.default_rng(0).normal(size=(80, 7)).astype(np.float16)
    found = mfcc(mel, 20)
    place = np.arange(80) + 0.5
    for k, scale in ((0, np.sqrt(1 / 80)), (3, np.sqrt(2 / 80))):
        expected = scale * (np.cos(np.pi * k * place / 80)[:, None] * mel.astype(float)).sum(axis=0)
        np.testing.assert_allclose(found[k], expected, atol=1e-4)
    np.testing.assert_allclose(
        np.square(mfcc(mel, 80)).sum(axis=0), np.square(mel.astype(float)).sum(axis=0), rtol=1e-4
    )


def test_a_tone_keeps_its_pitch_and_length_when_resampled() -> None:
    tone = np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100).astype(np.float32)
    found = resample(tone, 44_100)
    assert abs(len(found) - RATE) < 40
    assert abs(int(np.abs(np.fft.rfft(found[:RATE])).argmax()) - 440) <= 1
    assert resample(tone, RATE) is tone


def test_what_lies_above_the_new_band_is_gone() -> None:
    hiss = np.sin(2 * np.pi * 12_000 * np.arange(44_100) / 44_100).astype(np.float32)
    assert np.abs(resample(hiss, 44_100)[200:-200]).max() < 0.05


def test_a_stereo_file_of_another_rate_becomes_what_towers_read(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros((22_050, 2)) + 0.1, 22_050)
    samples, cut = decode(read_sound(tmp_path / "a.wav"))
    assert abs(len(samples) - RATE) < 40
    assert not cut
    assert abs(float(np.median(samples)) - 0.1) < 1e-3


def test_damaged_and_empty_files_are_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"no sound")
    with pytest.raises(UnreadableAudioError, match="cannot be decoded"):
        read_sound(tmp_path / "a.wav")
    soundfile.write(tmp_path / "b.wav", np.zeros(0), RATE)
    with pytest.raises(UnreadableAudioError, match="is empty"):
        read_sound(tmp_path / "b.wav")
