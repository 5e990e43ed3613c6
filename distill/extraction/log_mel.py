"""Log-mel patches of sound, as VGGish defines them.

Hershey et al. 2017, "CNN Architectures for Large-Scale Audio Classification";
the sizes are those of the network that AudioSet's release came with. A patch
is 96 windows of 25 ms, one every 10 ms; each is the logarithm of 64 mel bands
of its magnitude spectrum.
"""

import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from distill.settings.video import BadVideoError
from distill.video.decoder import SOUND_RATE

PATCH_WINDOWS = 96
NUM_BANDS = 64
_WINDOW_SAMPLES = 400
_HOP_SAMPLES = 160
_FFT_SIZE = 512
_LEAST_HERTZ, _MOST_HERTZ = 125.0, 7500.0
_LOG_OFFSET = 0.01
# The last window reaches beyond the 0.96 s from patch to patch.
PATCH_SAMPLES = (PATCH_WINDOWS - 1) * _HOP_SAMPLES + _WINDOW_SAMPLES


def sound_seconds(starts: Sequence[float]) -> float:
    """Returns the seconds of sound that the patches of some starts need."""
    return (_first_sample(max(starts)) + PATCH_SAMPLES) / SOUND_RATE


def log_mel_patches(
    blocks: Iterable[np.ndarray], starts: Sequence[float]
) -> Iterator[np.ndarray]:
    """Yields a patch of a sound for each start.

    A patch depends on its own samples alone, so its bits are the same whichever
    other patches are made. What lies beyond the sound's end is silence. Memory
    holds a block and the samples of a patch, however long the sound is.

    Args:
      blocks: The sound in blocks of any length, float32 `[samples]` in [-1, 1],
        mono, `SOUND_RATE` a second. All are read; `sound_seconds` says how many
        are of use. A whole sound is `[samples]`, a list of one block.
      starts: Seconds from the sound's begin, 0 or more, none before the one
        that precedes it; rounded to the nearest sample.

    Yields:
      float32 `[96, 64]`, windows by mel bands.

    Raises:
      ValueError: A start is negative or before another.
      BadVideoError: The sound holds a value that is not finite, or is so loud
        that its spectrum is not.
    """
    firsts = [_first_sample(start) for start in starts]
    for earlier, later in itertools.pairwise([0, *firsts]):
        if later < earlier:
            raise ValueError(
                f"starts must rise from 0 on, got {later / SOUND_RATE:g} s "
                f"after {earlier / SOUND_RATE:g} s."
            )
    for first, samples in zip(firsts, _cut(blocks, firsts), strict=True):
        patch = _patch_function()(samples).numpy()
        if not np.isfinite(patch).all():
            raise BadVideoError(
                f"its sound at {first / SOUND_RATE:.2f} s is not finite"
            )
        yield patch


def _first_sample(start: float) -> int:
    return round(start * SOUND_RATE)


def _cut(
    blocks: Iterable[np.ndarray], firsts: Sequence[int]
) -> Iterator[np.ndarray]:
    """Yields float32 `[PATCH_SAMPLES]` from each first sample on."""
    remaining = iter(blocks)
    held, begin = np.zeros(0, np.float32), 0
    for first in firsts:
        while True:
            passed = min(first - begin, len(held))
            held, begin = held[passed:], begin + passed
            if len(held) >= PATCH_SAMPLES:
                break
            block = next(remaining, None)
            if block is None:
                break
            held = np.concatenate([held, block]) if len(held) else block
        samples = held[:PATCH_SAMPLES]
        yield np.pad(samples, (0, PATCH_SAMPLES - len(samples)))
    # A video that is left amid its sound would end its decoding process.
    for _ in remaining:
        pass


@functools.cache
def mel_weights() -> np.ndarray:
    """Returns float32 `[257, 64]`: the weight of each frequency in each band.

    Bands are triangles on HTK's mel scale, `1127 ln(1 + hertz / 700)`, their
    corners evenly spread over it. The constant part of a window has no weight.
    """
    import tensorflow as tf

    weights = tf.signal.linear_to_mel_weight_matrix(
        NUM_BANDS,
        _FFT_SIZE // 2 + 1,
        SOUND_RATE,
        _LEAST_HERTZ,
        _MOST_HERTZ,
        tf.float64,
    )
    return weights.numpy().astype(np.float32)


@functools.cache
def _patch_function() -> Any:
    """Returns the graph from the samples of one patch to the patch."""
    import tensorflow as tf

    weights = mel_weights()

    @tf.function(
        input_signature=[tf.TensorSpec([PATCH_SAMPLES], tf.float32)],
        autograph=False,
    )
    def make_patch(samples):
        spectrum = tf.signal.stft(
            samples, _WINDOW_SAMPLES, _HOP_SAMPLES, _FFT_SIZE
        )
        return tf.math.log(tf.abs(spectrum) @ weights + _LOG_OFFSET)

    def make_on_cpu(samples):
        # Its bits do not depend on whether there is a GPU.
        with tf.device("CPU"):
            return make_patch(tf.constant(samples, tf.float32))

    return make_on_cpu
