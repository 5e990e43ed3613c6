"""A dense layer plus an LSTM over its output, against NumPy."""

import numpy as np
import pytest

from distill.models.residual_lstm import ResidualLstm
from tests.layer_checks import check_layer, randomise_weights
from tests.numpy_lstm import final_states
from tests.videos import make_videos, real_frames

FRAMES, FEATURES, CELLS = 5, 3, 4


def make_inputs(batch_size):
    videos = make_videos(FRAMES, FEATURES)
    lengths = FRAMES - np.arange(batch_size, dtype=np.int32) % FRAMES
    return videos["frames"][:batch_size], lengths


@pytest.mark.parametrize("backward", [False, True])
def test_residual_lstm_passes_the_layer_checks(backward):
    check_layer(lambda: ResidualLstm(CELLS, backward), make_inputs)


@pytest.mark.parametrize("backward", [False, True])
def test_the_lstm_s_outputs_are_added_to_what_it_reads(backward):
    layer, videos = ResidualLstm(CELLS, backward), make_videos(FRAMES, FEATURES)
    layer.build(videos["frames"].shape)
    randomise_weights(layer)
    kernel, bias = layer.dense.get_weights()
    weights = [layer.lstm.get_weights()]
    outputs = np.asarray(layer(*videos.values()))
    for index, frames in enumerate(real_frames(videos)):
        projected = frames @ kernel + bias
        for step in range(len(frames)):
            read = projected[: step + 1]
            if backward:
                read = projected[step:][::-1]
            expected = projected[step] + final_states(read, weights)[-CELLS:]
            np.testing.assert_allclose(
                outputs[index, step], expected, atol=1e-5
            )


def test_macs_are_one_for_every_kernel_entry_and_frame():
    layer = ResidualLstm(CELLS)
    layer.build((None, None, FEATURES))
    per_frame = FEATURES * CELLS + 4 * CELLS * (CELLS + CELLS)
    assert layer.macs(7) == 7 * per_frame
