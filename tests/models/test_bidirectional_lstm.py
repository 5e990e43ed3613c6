"""LSTMs in alternating direction, pooled by maxima, against NumPy."""

import numpy as np
import pytest

from distill.models.bidirectional_lstm import BiLstmModel
from distill.models.logistic import Logistic
from tests.layer_checks import check_frame_model
from tests.numpy_lstm import final_states, sigmoid
from tests.videos import build_for_frames, dense_relu, make_videos, real_frames

FRAMES, FEATURES, CLASSES, CELLS, HIDDEN = 5, 3, 4, 4, 12


def make_model(**arguments):
    return BiLstmModel(
        Logistic(CLASSES, name="classifier"),
        lstm_cells=CELLS,
        hidden_size=HIDDEN,
        **arguments,
    )


def make_built(**arguments):
    return build_for_frames(make_model(**arguments), FEATURES)


def numpy_layer(frames, layer):
    """Returns a residual LSTM's outputs for one video's real frames."""
    kernel, bias = layer.dense.get_weights()
    projected = frames @ kernel + bias
    order = -1 if layer.backward else 1
    read = projected[::order]
    outputs = [
        final_states(read[: step + 1], [layer.lstm.get_weights()])[-CELLS:]
        for step in range(len(read))
    ]
    return projected + np.array(outputs)[::order]


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"lstm_layers": 1},
        {"lstm_layers": 3, "dropout": 0.1, "input_batch_norm": True},
    ],
    ids=["plain", "one layer", "dropout"],
)
def test_bidirectional_lstm_passes_the_model_checks(arguments):
    check_frame_model(
        lambda: make_model(**arguments),
        num_features=FEATURES,
        max_frames=FRAMES,
        num_classes=CLASSES,
    )


@pytest.mark.parametrize("layers", [1, 2, 4])
def test_maxima_over_real_frames_of_alternating_layers_are_read(layers):
    model = make_built(lstm_layers=layers)
    videos = make_videos(FRAMES, FEATURES)
    pooled = np.zeros((FRAMES + 1, CELLS))
    for index, frames in enumerate(real_frames(videos)[1:], start=1):
        for layer in model.recurrences:
            frames = numpy_layer(frames, layer)
        pooled[index] = frames.max(axis=0)
    (dense,) = model.hidden.denses
    embedding = dense_relu(pooled, dense)
    kernel, bias = model.classifier.get_weights()
    outputs = model(videos)
    np.testing.assert_allclose(outputs["embedding"], embedding, atol=1e-4)
    np.testing.assert_allclose(
        outputs["predictions"], sigmoid(embedding @ kernel + bias), atol=1e-5
    )


def test_every_second_layer_reads_backward():
    directions = [layer.backward for layer in make_model().recurrences]
    assert directions == [False, True, False, True]


def test_dropout_acts_in_training_alone():
    model, videos = make_built(dropout=0.5), make_videos(FRAMES, FEATURES)
    scored = model(videos)["predictions"]
    np.testing.assert_array_equal(model(videos)["predictions"], scored)
    trained = model(videos, training=True)["predictions"]
    assert np.abs(trained - scored).max() > 0.01


def test_macs_are_one_for_every_matrix_entry():
    first = FEATURES * CELLS + 4 * CELLS * (CELLS + CELLS)
    second = CELLS * CELLS + 4 * CELLS * (CELLS + CELLS)
    dense = CELLS * HIDDEN + HIDDEN * CLASSES
    model = make_built(lstm_layers=2)
    assert model.macs(7) == 7 * (first + second) + dense


def test_no_layer_is_an_error():
    with pytest.raises(ValueError, match=r"^lstm_layers must be 1 or more"):
        make_model(lstm_layers=0)
