"""Log-mel patches against NumPy, by VGGish's definition alone."""

import itertools
import math
import tracemalloc

import numpy as np
import pytest
import tensorflow as tf

from distill.extraction.log_mel import (
    PATCH_SAMPLES,
    log_mel_patches,
    mel_weights,
    sound_seconds,
)
from distill.settings.video import BadVideoError

RATE = 16_000
SILENCE = math.log(0.01)


def draw_sound(seconds, seed=0):
    """Returns noise whose loudness changes from second to second."""
    random = np.random.default_rng(seed)
    loudness = np.repeat(random.uniform(0, 0.3, math.ceil(seconds)), RATE)
    noise = random.normal(size=len(loudness)) * loudness
    return np.clip(noise, -1, 1).astype(np.float32)[: round(seconds * RATE)]


def patches_of(blocks, starts):
    return np.stack(list(log_mel_patches(blocks, starts)))


def mel(hertz):
    return 1127 * np.log(1 + np.asarray(hertz) / 700)


def triangles():
    """Returns float64 `[257, 64]`, one band after another."""
    corners = np.linspace(mel(125), mel(7500), 66)
    places = mel(np.arange(257) * RATE / 512)
    weights = np.zeros((257, 64))
    for band, (low, top, high) in enumerate(
        zip(corners, corners[1:], corners[2:], strict=False)
    ):
        rising = (places - low) / (top - low)
        falling = (high - places) / (high - top)
        weights[:, band] = np.maximum(0, np.minimum(rising, falling))
    weights[0] = 0
    return weights


def patch_by_hand(samples):
    """Returns float64 `[96, 64]` of the samples from a patch's begin on."""
    padded = np.zeros(95 * 160 + 400)
    padded[: len(samples)] = samples[: len(padded)]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    rows = []
    for window in range(96):
        cut = padded[window * 160 : window * 160 + 400] * hann
        rows.append(np.abs(np.fft.rfft(cut, 512)) @ triangles())
    return np.log(np.array(rows) + 0.01)


def test_patches_are_those_of_the_definition():
    sound, starts = draw_sound(6), [0, 0.96, 2, 3.30003]
    found = patches_of([sound], starts)
    assert found.shape == (4, 96, 64)
    assert found.dtype == np.float32
    for start, patch in zip(starts, found, strict=True):
        expected = patch_by_hand(sound[round(start * RATE) :])
        np.testing.assert_allclose(patch, expected, atol=1e-5)


def test_a_tone_is_loudest_in_the_band_of_its_frequency():
    times = np.arange(RATE) / RATE
    for hertz in (200, 1_000, 5_000):
        tone = np.sin(2 * np.pi * hertz * times).astype(np.float32)
        patch = patches_of([tone], [0])[0]
        tops = np.linspace(mel(125), mel(7500), 66)[1:-1]
        nearest = np.abs(tops - mel(hertz)).argmin()
        assert np.abs(patch.argmax(axis=1) - nearest).max() <= 1


def test_weights_are_vggish_s_triangles_without_the_constant_part():
    np.testing.assert_allclose(mel_weights(), triangles(), atol=1e-7)
    assert not mel_weights()[0].any()
    single = tf.signal.linear_to_mel_weight_matrix(64, 257, RATE, 125, 7500)
    np.testing.assert_allclose(mel_weights(), single, atol=1e-4)


def test_consecutive_patches_are_the_spectrogram_of_the_whole_sound():
    sound = draw_sound(4)
    windows = tf.signal.stft(sound, 400, 160, 512)
    whole = np.log(np.abs(windows) @ triangles() + 0.01)
    found = patches_of([sound], [0, 0.96, 1.92])
    np.testing.assert_allclose(found.reshape(-1, 64), whole[:288], atol=1e-5)


def test_a_patch_has_the_same_bits_whichever_others_are_made():
    sound, starts = draw_sound(12), np.arange(0, 13, 0.37)
    every = patches_of([sound], starts)
    for chosen in ([0], [7, 8], [1, 20, 33], [35]):
        few = patches_of([sound], starts[chosen])
        np.testing.assert_array_equal(few, every[chosen])


@pytest.mark.parametrize("size", [1, 1_024, 15_600, 70_001])
def test_blocks_of_any_length_give_the_same_bits(size):
    sound, starts = draw_sound(3), [0, 0.5, 0.5, 2.2]
    blocks = [sound[at : at + size] for at in range(0, len(sound), size)]
    expected = patches_of([sound], starts)
    np.testing.assert_array_equal(patches_of(blocks, starts), expected)


def test_beyond_its_end_a_sound_is_silent():
    sound = draw_sound(1.5)
    ending, behind = patches_of([sound], [1, 7])
    expected = patch_by_hand(sound[RATE:])
    np.testing.assert_allclose(ending, expected, atol=1e-5)
    np.testing.assert_allclose(ending[-40:], SILENCE, rtol=1e-6)
    np.testing.assert_allclose(behind, SILENCE, rtol=1e-6)
    np.testing.assert_array_equal(patches_of([], [0, 3]), [behind] * 2)


def test_the_seconds_that_patches_need_are_enough_and_not_too_many():
    sound, starts = draw_sound(9), [0.1, 1 / 3, 2.000049]
    samples = math.ceil(sound_seconds(starts) * RATE)
    assert samples - round(starts[-1] * RATE) - PATCH_SAMPLES in (0, 1)
    np.testing.assert_array_equal(
        patches_of([sound[:samples]], starts), patches_of([sound], starts)
    )


def test_every_block_is_read():
    blocks = iter([draw_sound(1)] * 5)
    assert len(list(log_mel_patches(blocks, [0.5]))) == 1
    assert next(blocks, None) is None


def test_memory_is_flat_for_hours_of_sound():
    hours, block = 3, np.full(1_024, 0.1, np.float32)
    count = hours * 3_600 * RATE // len(block)
    starts = np.linspace(0, hours * 3_600 - 1, 10)
    patches_of([block], [0])  # the graph
    tracemalloc.start()
    sound = (block.copy() for _ in range(count))
    found = sum(1 for _ in log_mel_patches(sound, starts))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == 10
    assert most < 2_000_000


@pytest.mark.parametrize("starts", [[-0.1], [1, 0.5], [0, -3]])
def test_starts_that_do_not_rise_are_refused(starts):
    with pytest.raises(ValueError, match="starts must rise from 0 on, got"):
        list(log_mel_patches([draw_sound(1)], starts))


@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
def test_a_sound_that_is_not_finite_is_refused_where_it_is_needed(value):
    sound = draw_sound(5)
    sound[2 * RATE : 2 * RATE + 300] = value
    kept = log_mel_patches([sound], [0, 1.5, 3])
    assert len(list(itertools.islice(kept, 1))) == 1
    with pytest.raises(BadVideoError, match=r"sound at 1\.50 s is not finite"):
        next(kept)
    assert len(list(log_mel_patches([sound], [0, 3]))) == 2
