"""Real frames read by recurrent layers, in either direction."""

import keras
import numpy as np

from distill.models.frame_recurrence import (
    read_real_frames,
    reverse_real_frames,
)
from tests.layer_checks import randomise_weights
from tests.numpy_layers import lstm_outputs
from tests.videos import make_videos, real_frames

FRAMES, FEATURES, CELLS = 5, 3, 4


def make_lstm():
    lstm = keras.layers.LSTM(CELLS, return_sequences=True, return_state=True)
    lstm.build((None, None, FEATURES))
    randomise_weights(lstm)
    return lstm


def test_real_frames_are_reversed_and_padding_stays_where_it_is():
    frames = np.arange(24.0).reshape(4, 3, 2)
    expected = [
        frames[0],
        frames[1],
        frames[2][[1, 0, 2]],
        frames[3][[2, 1, 0]],
    ]
    reverse = reverse_real_frames(frames, np.arange(4, dtype=np.int32))
    np.testing.assert_array_equal(reverse, expected)


def test_more_frames_than_there_are_count_as_all():
    frames = np.arange(12.0).reshape(2, 3, 2)
    reverse = reverse_real_frames(frames, np.array([9, 4], np.int32))
    np.testing.assert_array_equal(reverse, frames[:, ::-1])


def test_outputs_and_final_state_are_those_of_the_real_frames():
    videos, lstm = make_videos(FRAMES, FEATURES), make_lstm()
    outputs, (states, _) = read_real_frames(lstm, *videos.values())
    np.testing.assert_array_equal(states[0], np.zeros(CELLS))
    for index, frames in enumerate(real_frames(videos)[1:], start=1):
        expected = lstm_outputs(frames, lstm)
        np.testing.assert_allclose(
            outputs[index, : len(frames)], expected, atol=1e-5
        )
        np.testing.assert_allclose(states[index], expected[-1], atol=1e-5)
