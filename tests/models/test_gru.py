"""The GRU model against NumPy and the WILLOW code."""

import numpy as np
import pytest

from distill.models.gru import GruModel
from distill.models.logistic import Logistic
from distill.models.mixture_of_experts import MixtureOfExperts
from tests.golden import count_mixtures, load_golden_model, moe_weights
from tests.layer_checks import check_frame_model
from tests.numpy_gru import all_outputs
from tests.numpy_lstm import sigmoid
from tests.videos import build_for_frames, make_videos, real_frames

FRAMES, FEATURES, CLASSES, CELLS = 5, 3, 4, 4


def make_model(**arguments):
    classifier = Logistic(CLASSES, name="classifier")
    return GruModel(classifier, gru_cells=CELLS, **arguments)


def make_built(**arguments):
    return build_for_frames(make_model(**arguments), FEATURES)


def numpy_outputs(frames, model):
    """Returns `[1 + frames, cells]` of every layer, zeros first."""
    weights = [layer.get_weights() for layer in model.recurrences]
    return [
        np.vstack([np.zeros(CELLS), outputs])
        for outputs in all_outputs(frames, weights)
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"reversed_time": True, "gru_layers": 1},
        {"recurrent_pooling": "mean", "dropout": 0.1},
        {"sample_frames": 3},
    ],
    ids=["plain", "reversed", "mean", "sampled"],
)
def test_gru_passes_the_model_checks(arguments):
    check_frame_model(
        lambda: make_model(**arguments),
        num_features=FEATURES,
        max_frames=FRAMES,
        num_classes=CLASSES,
    )


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("reversed_time", [False, True])
def test_the_final_states_of_all_layers_are_classified(layers, reversed_time):
    model = make_built(gru_layers=layers, reversed_time=reversed_time)
    videos = make_videos(FRAMES, FEATURES)
    order = -1 if reversed_time else 1
    embedding = np.array(
        [
            np.concatenate(
                [outputs[-1] for outputs in numpy_outputs(real[::order], model)]
            )
            for real in real_frames(videos)
        ]
    )
    kernel, bias = model.classifier.get_weights()
    outputs = model(videos)
    np.testing.assert_allclose(outputs["embedding"], embedding, atol=1e-5)
    np.testing.assert_allclose(
        outputs["predictions"], sigmoid(embedding @ kernel + bias), atol=1e-5
    )


def test_mean_pooling_is_over_the_last_layer_s_real_outputs():
    model = make_built(recurrent_pooling="mean")
    videos = make_videos(FRAMES, FEATURES)
    expected = [
        numpy_outputs(frames, model)[-1].sum(axis=0) / max(len(frames), 1)
        for frames in real_frames(videos)
    ]
    np.testing.assert_allclose(
        model(videos)["embedding"], np.array(expected), atol=1e-5
    )


def golden_gru_weights(weights, cell, cells):
    """Returns the Keras layer's weights from those of the reference's cell.

    The reference's gates are r then u, its rows input then state.
    """
    gates = weights[f"{cell}/gates/kernel"]
    of_reset, of_update = np.split(gates, 2, axis=1)
    of_candidate = weights[f"{cell}/candidate/kernel"]
    kernel = np.concatenate([of_update, of_reset, of_candidate], axis=1)
    reset, update = np.split(weights[f"{cell}/gates/bias"], 2)
    bias = [update, reset, weights[f"{cell}/candidate/bias"]]
    return [kernel[:-cells], kernel[-cells:], np.concatenate(bias)]


def test_golden_predictions_are_reproduced():
    golden = load_golden_model("gru")
    cells = int(golden.flags["gru_cells"])
    model = GruModel(
        MixtureOfExperts(golden.num_classes, count_mixtures(golden)),
        gru_cells=cells,
        gru_layers=int(golden.flags["gru_layers"]),
    )
    model(golden.inputs)
    for index, layer in enumerate(model.recurrences):
        cell = f"RNN/rnn/multi_rnn_cell/cell_{index}/gru_cell"
        layer.set_weights(golden_gru_weights(golden.weights, cell, cells))
    model.classifier.set_weights(moe_weights(golden.weights))
    np.testing.assert_allclose(
        model(golden.inputs)["predictions"],
        golden.outputs["predictions"],
        rtol=0,
        atol=1e-5,
    )


def test_macs_are_one_for_every_kernel_entry_and_frame():
    per_frame = 3 * CELLS * ((FEATURES + CELLS) + (CELLS + CELLS))
    expected = 7 * per_frame + 2 * CELLS * CLASSES
    assert make_built().macs(7) == expected


def test_no_cell_is_an_error():
    with pytest.raises(ValueError, match=r"^gru_cells must be 1 or more"):
        GruModel(Logistic(CLASSES), gru_cells=0)
