"""A recurrent stream per feature against NumPy."""

import numpy as np
import pytest

from distill.models.feature_streams import FeatureStreams, LstmStream
from tests.layer_checks import check_layer, randomise_weights
from tests.numpy_lstm import final_states
from tests.videos import dense_relu, make_videos, real_frames

FRAMES, FEATURES, INPUT = 5, 6, 8


def make_inputs(batch_size):
    videos = make_videos(FRAMES, FEATURES)
    lengths = FRAMES - np.arange(batch_size, dtype=np.int32) % FRAMES
    return videos["frames"][:batch_size], lengths


def numpy_stream(frames, stream):
    """Returns a stream's state after one video's real frames."""
    read = dense_relu(frames, stream.dense)
    forward = [stream.forward_lstm.get_weights()]
    backward = [stream.backward_lstm.get_weights()]
    outputs = [
        final_states(read[: step + 1], forward)[-stream.cells :]
        for step in range(len(read))
    ]
    return final_states(np.array(outputs[::-1]), backward)[-stream.cells :]


def test_a_stream_passes_the_layer_checks():
    check_layer(lambda: LstmStream(INPUT, 4), make_inputs)


def test_streams_pass_the_layer_checks():
    check_layer(lambda: FeatureStreams([4, 2], INPUT, [4, 3]), make_inputs)


@pytest.mark.parametrize(
    ("feature_sizes", "cells"),
    [([6], [4]), ([4, 2], [4, 3]), ([1] * 6, [2] * 6)],
)
def test_every_stream_reads_its_feature_forward_then_backward(
    feature_sizes, cells
):
    layer = FeatureStreams(feature_sizes, INPUT, cells)
    videos = make_videos(FRAMES, FEATURES)
    layer.build(videos["frames"].shape)
    randomise_weights(layer)
    states = layer(*videos.values())
    bounds = np.cumsum(feature_sizes)[:-1]
    for index, frames in enumerate(real_frames(videos)):
        features = np.split(frames, bounds, axis=1)
        expected = [
            numpy_stream(feature, stream)
            for feature, stream in zip(features, layer.streams, strict=True)
        ]
        np.testing.assert_allclose(
            states[index], np.concatenate(expected), atol=1e-5
        )


def test_macs_are_one_for_every_kernel_entry_and_frame():
    layer = FeatureStreams([4, 2], INPUT, [5, 3])
    layer.build((None, None, FEATURES))
    first = 4 * INPUT + 4 * 5 * (INPUT + 5) + 4 * 5 * (5 + 5)
    second = 2 * INPUT + 4 * 3 * (INPUT + 3) + 4 * 3 * (3 + 3)
    assert layer.macs(7) == 7 * (first + second)


def test_widths_that_do_not_fill_a_frame_are_an_error():
    with pytest.raises(ValueError, match=r"^feature_sizes .* got \(4, 1\)\.$"):
        FeatureStreams([4, 1], INPUT, [4, 3]).build((None, None, FEATURES))
