"""The LSTM and GRU models against NumPy."""

import numpy as np
import pytest

from distill.models.recurrent import GruModel, LstmModel
from tests.layer_checks import check_frame_model
from tests.numpy_layers import gru_outputs, lstm_outputs
from tests.videos import (
    assert_classified,
    build_for_frames,
    make_model,
    make_videos,
    real_frames,
)

FRAMES, FEATURES, CELLS = 5, 3, 4
OUTPUTS = {LstmModel: lstm_outputs, GruModel: gru_outputs}
both = pytest.mark.parametrize("model_class", OUTPUTS)


def make_built(model_class, **settings):
    model = make_model(model_class, cells=CELLS, **settings)
    return build_for_frames(model, FEATURES)


def numpy_outputs(frames, model):
    """Returns `[1 + frames, cells]` of every layer, zeros first."""
    outputs = []
    for layer in model.recurrences:
        frames = OUTPUTS[type(model)](frames, layer)
        outputs.append(np.vstack([np.zeros(CELLS), frames]))
    return outputs


@both
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"reversed_time": True, "layers": 1},
        {"pooling": "mean", "input_batch_norm": True, "dropout": 0.1},
        {"sample_frames": 3, "layers": 3},
    ],
    ids=["plain", "reversed", "mean", "sampled"],
)
def test_recurrent_models_pass_the_model_checks(model_class, settings):
    check_frame_model(
        lambda: make_model(model_class, cells=CELLS, **settings),
        FEATURES,
        FRAMES,
    )


@both
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("reversed_time", [False, True])
def test_final_states_are_classified(model_class, layers, reversed_time):
    """Those of the last LSTM layer, those of all GRU layers."""
    model = make_built(model_class, layers=layers, reversed_time=reversed_time)
    videos = make_videos(FRAMES, FEATURES)
    order = -1 if reversed_time else 1
    embedding = []
    for frames in real_frames(videos):
        outputs = numpy_outputs(frames[::order], model)
        last = outputs[-1:] if model_class is LstmModel else outputs
        embedding.append(np.concatenate([layer[-1] for layer in last]))
    assert_classified(model, model(videos), embedding)


@both
def test_mean_pooling_is_over_the_last_layer_s_real_outputs(model_class):
    model = make_built(model_class, pooling="mean")
    videos = make_videos(FRAMES, FEATURES)
    expected = [
        numpy_outputs(frames, model)[-1].sum(axis=0) / max(len(frames), 1)
        for frames in real_frames(videos)
    ]
    assert_classified(model, model(videos), expected)


def test_frames_are_sampled_in_training_and_at_evaluation_if_asked():
    videos = make_videos(FRAMES, FEATURES)
    model = make_built(LstmModel, sample_frames=2)
    scored = model(videos)["embedding"]
    np.testing.assert_array_equal(model(videos)["embedding"], scored)
    trained = model(videos, training=True)["embedding"]
    assert np.abs(trained - scored).max() > 0.001
    always = make_built(LstmModel, sample_frames=2, sample_at_evaluation=True)
    assert np.abs(always(videos)["embedding"] - scored).max() > 0.001
