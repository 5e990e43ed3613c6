"""The LSTM model against NumPy and the starter code."""

import numpy as np
import pytest

from distill.models.logistic import Logistic
from distill.models.lstm import LstmModel
from distill.models.mixture_of_experts import MixtureOfExperts
from tests.golden import (
    assign_lstms,
    count_lstm_layers,
    count_mixtures,
    load_golden_model,
    moe_weights,
)
from tests.layer_checks import check_frame_model
from tests.numpy_lstm import final_states, sigmoid
from tests.videos import build_for_frames, make_videos, real_frames

FRAMES, FEATURES, CLASSES, CELLS = 5, 3, 4, 4


def make_model(**arguments):
    classifier = Logistic(CLASSES, name="classifier")
    return LstmModel(classifier, lstm_cells=CELLS, **arguments)


def make_built(**arguments):
    return build_for_frames(make_model(**arguments), FEATURES)


def last_states(frames, model):
    """Returns the last layer's hidden state after every real frame."""
    weights = [layer.get_weights() for layer in model.recurrences]
    states = [
        final_states(frames[: step + 1], weights)[-CELLS:]
        for step in range(len(frames))
    ]
    return np.array([np.zeros(CELLS), *states])


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"reversed_time": True, "lstm_layers": 1},
        {"recurrent_pooling": "mean", "input_batch_norm": True},
        {"sample_frames": 3, "lstm_layers": 3},
    ],
    ids=["plain", "reversed", "mean", "sampled"],
)
def test_lstm_passes_the_model_checks(arguments):
    check_frame_model(
        lambda: make_model(**arguments),
        num_features=FEATURES,
        max_frames=FRAMES,
        num_classes=CLASSES,
    )


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("reversed_time", [False, True])
def test_the_last_layer_s_final_hidden_state_is_classified(
    layers, reversed_time
):
    model = make_built(lstm_layers=layers, reversed_time=reversed_time)
    videos = make_videos(FRAMES, FEATURES)
    order = -1 if reversed_time else 1
    embedding = np.array(
        [last_states(real[::order], model)[-1] for real in real_frames(videos)]
    )
    kernel, bias = model.classifier.get_weights()
    outputs = model(videos)
    np.testing.assert_allclose(outputs["embedding"], embedding, atol=1e-5)
    np.testing.assert_allclose(
        outputs["predictions"], sigmoid(embedding @ kernel + bias), atol=1e-5
    )


def test_mean_pooling_is_over_the_real_frames_outputs():
    model = make_built(recurrent_pooling="mean")
    videos = make_videos(FRAMES, FEATURES)
    expected = [
        last_states(frames, model).sum(axis=0) / max(len(frames), 1)
        for frames in real_frames(videos)
    ]
    np.testing.assert_allclose(
        model(videos)["embedding"], np.array(expected), atol=1e-5
    )


def test_golden_predictions_are_reproduced():
    golden = load_golden_model("lstm")
    model = LstmModel(
        MixtureOfExperts(golden.num_classes, count_mixtures(golden)),
        lstm_cells=int(golden.flags["lstm_cells"]),
        lstm_layers=count_lstm_layers(golden.weights, "rnn/"),
    )
    model(golden.inputs)
    assign_lstms(model.recurrences, golden.weights, "rnn")
    model.classifier.set_weights(moe_weights(golden.weights))
    np.testing.assert_allclose(
        model(golden.inputs)["predictions"],
        golden.outputs["predictions"],
        rtol=0,
        atol=1e-5,
    )


def test_frames_are_sampled_in_training_and_at_evaluation_if_asked():
    videos = make_videos(FRAMES, FEATURES)
    model = make_built(sample_frames=2)
    scored = model(videos)["embedding"]
    np.testing.assert_array_equal(model(videos)["embedding"], scored)
    trained = model(videos, training=True)["embedding"]
    assert np.abs(trained - scored).max() > 0.001
    always = make_built(sample_frames=2, sample_at_evaluation=True)
    assert np.abs(always(videos)["embedding"] - scored).max() > 0.001


def test_the_embedding_itself_passes_no_dropout():
    model = make_built(dropout=0.9, lstm_layers=1)
    videos = make_videos(FRAMES, FEATURES)
    scored, trained = model(videos), model(videos, training=True)
    np.testing.assert_allclose(
        trained["embedding"], scored["embedding"], atol=1e-6
    )
    difference = trained["predictions"] - scored["predictions"]
    assert np.abs(difference).max() > 0.01


def test_macs_grow_with_the_frames_that_are_read():
    per_frame = 4 * CELLS * ((FEATURES + CELLS) + (CELLS + CELLS))
    classifier = CELLS * CLASSES
    assert make_built().macs(7) == 7 * per_frame + classifier
    sampled = make_built(sample_frames=2)
    assert sampled.macs(7) == 7 * per_frame + classifier
    always = make_built(sample_frames=2, sample_at_evaluation=True)
    assert always.macs(7) == 2 * per_frame + classifier


def test_an_unknown_pooling_lists_the_choices():
    message = r"^Unknown recurrent_pooling 'max'\. .*Choices: mean, state\.$"
    with pytest.raises(ValueError, match=message):
        make_model(recurrent_pooling="max")


def test_no_layer_is_an_error():
    with pytest.raises(ValueError, match=r"^lstm_layers must be 1 or more"):
        make_model(lstm_layers=0)
