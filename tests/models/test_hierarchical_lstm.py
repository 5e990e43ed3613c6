"""The hierarchical LSTM against NumPy, the released code and the paper."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from distill.models.hierarchical_lstm import HierarchicalLstm
from distill.models.logistic import Logistic
from distill.models.mixture_of_experts import MixtureOfExperts
from tests.golden import (
    assign_lstms,
    count_lstm_layers,
    count_mixtures,
    load_golden_model,
    moe_weights,
)
from tests.layer_checks import check_frame_model, randomise_weights
from tests.numpy_lstm import final_states, sigmoid

FEATURES, CLASSES, CELLS = 3, 4, 4


def make_model(max_frames=7, num_inputs_to_lstm=3, **arguments):
    return HierarchicalLstm(
        Logistic(CLASSES, name="classifier"),
        max_frames=max_frames,
        lstm_cells=CELLS,
        num_inputs_to_lstm=num_inputs_to_lstm,
        **arguments,
    )


def make_built(**arguments):
    model = make_model(**arguments)
    shape = (None, model.max_frames, FEATURES)
    model.build({"frames": shape, "num_frames": (None,)})
    randomise_weights(model)
    return model


def make_inputs(max_frames=7):
    rng = np.random.default_rng(1)
    num_frames = np.arange(max_frames + 1, dtype=np.int32)
    frames = rng.normal(size=(max_frames + 1, max_frames, FEATURES))
    return {"frames": frames.astype(np.float32), "num_frames": num_frames}


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"num_inputs_to_lstm": 4},
        {"lstm_layers": 1, "input_batch_norm": True},
        {"dropout": 0.1, "input_dropout": 0.1},
    ],
    ids=["plain", "last block short", "batch norm", "dropout"],
)
def test_hierarchical_lstm_passes_the_model_checks(arguments):
    check_frame_model(
        lambda: make_model(**arguments),
        num_features=FEATURES,
        max_frames=7,
        num_classes=CLASSES,
    )


@pytest.mark.parametrize(
    ("max_frames", "blocks", "block_length"),
    [(6, 3, 2), (7, 3, 3), (7, 7, 1), (7, 1, 7)],
)
def test_two_levels_read_blocks_and_their_states(
    max_frames, blocks, block_length
):
    model = make_built(max_frames=max_frames, num_inputs_to_lstm=blocks)
    inputs = make_inputs(max_frames)
    lower = [lstm.get_weights() for lstm in model.lower.lstms]
    upper = [lstm.get_weights() for lstm in model.upper.lstms]
    embeddings = []
    for frames, num_frames in zip(*inputs.values(), strict=True):
        states = [
            final_states(frames[start : start + block_length][:left], lower)
            for start in range(0, num_frames, block_length)
            for left in [num_frames - start]
        ]
        embeddings.append(final_states(np.array(states), upper))
    kernel, bias = model.classifier.get_weights()
    outputs = model(inputs)
    np.testing.assert_allclose(outputs["embedding"], embeddings, atol=1e-5)
    np.testing.assert_allclose(
        outputs["predictions"],
        sigmoid(np.array(embeddings) @ kernel + bias),
        atol=1e-5,
    )


@pytest.mark.parametrize(
    "name", ["hierarchical_lstm_teacher", "hierarchical_lstm_student"]
)
def test_golden_embedding_and_predictions_are_reproduced(name):
    golden = load_golden_model(name)
    max_frames = golden.inputs["frames"].shape[1]
    prefix = "classifier/"
    model = HierarchicalLstm(
        MixtureOfExperts(golden.num_classes, count_mixtures(golden, prefix)),
        max_frames=max_frames,
        lstm_cells=int(golden.flags["lstm_cells"]),
        lstm_layers=count_lstm_layers(golden.weights, "RNN_L1/"),
        num_inputs_to_lstm=int(golden.flags["num_inputs_to_lstm"]),
    )
    model(golden.inputs)
    assign_lstms(model.lower.lstms, golden.weights, "RNN_L1/rnn")
    assign_lstms(model.upper.lstms, golden.weights, "RNN_L2/rnn")
    model.classifier.set_weights(moe_weights(golden.weights, prefix))
    outputs = model(golden.inputs)
    for key in ("embedding", "predictions"):
        np.testing.assert_allclose(
            outputs[key], golden.outputs[key], rtol=0, atol=1e-5, err_msg=key
        )


def test_batch_norm_statistics_are_those_of_the_real_frames():
    model = make_built(input_batch_norm=True)
    model.input_norm.moving_mean.assign(np.zeros(FEATURES))
    model.input_norm.moving_variance.assign(np.zeros(FEATURES))
    inputs = make_inputs()
    real = [
        frames[:count] for frames, count in zip(*inputs.values(), strict=True)
    ]
    real = np.concatenate(real).astype(np.float64)
    model(inputs, training=True)
    share = 1 - model.input_norm.momentum
    np.testing.assert_allclose(
        model.input_norm.moving_mean, share * real.mean(0), atol=1e-6
    )
    np.testing.assert_allclose(
        model.input_norm.moving_variance, share * real.var(0), atol=1e-6
    )


def test_padding_has_no_effect_on_a_training_step_with_batch_norm():
    model = make_built(input_batch_norm=True)
    inputs = make_inputs()
    garbage = inputs["frames"].copy()
    for frames, count in zip(garbage, inputs["num_frames"], strict=True):
        frames[count:] = 1000.0
    clean = model(inputs, training=True)
    dirty = model(inputs | {"frames": garbage}, training=True)
    for key in clean:
        np.testing.assert_allclose(dirty[key], clean[key], atol=1e-5)


@pytest.mark.parametrize("argument", ["dropout", "input_dropout"])
def test_dropout_acts_in_training_alone(argument):
    model = make_built(**{argument: 0.5})
    inputs = make_inputs()
    scored = [model(inputs)["predictions"] for _ in range(2)]
    np.testing.assert_array_equal(*scored)
    trained = model(inputs, training=True)["predictions"]
    assert np.abs(trained - scored[0]).max() > 0.01


def test_the_embedding_itself_passes_no_dropout():
    """What student and teacher are compared by is not half of zeros."""
    model = make_built(dropout=0.9)
    embedding = model(make_inputs(), training=True)["embedding"]
    assert np.all(np.asarray(embedding)[1:] != 0)


@pytest.mark.parametrize("blocks", [0, 8])
def test_blocks_that_do_not_fit_the_frames_are_an_error(blocks):
    message = rf"^num_inputs_to_lstm .* 1 to .* \(7\), got {blocks}\.$"
    with pytest.raises(ValueError, match=message):
        make_model(num_inputs_to_lstm=blocks)


def make_full_size(max_frames, blocks):
    """Returns a model of the paper's sizes, without memory for weights."""
    with tf.Graph().as_default():
        model = HierarchicalLstm(
            MixtureOfExperts(4716),
            max_frames=max_frames,
            num_inputs_to_lstm=blocks,
        )
        model.build({"frames": (None, max_frames, 1152), "num_frames": (None,)})
    return model


def test_teacher_s_macs_are_the_derived_ones():
    teacher = make_full_size(300, 20)
    lower = teacher.lower.macs(300, 1152)
    upper = teacher.upper.macs(20, 4096)
    classifier = teacher.classifier.macs()
    assert [round(count / 1e9, 2) for count in (lower, upper, classifier)] == [
        5.19,
        0.59,
        0.10,
    ]
    assert teacher.macs(300) == lower + upper + classifier
    assert lower == 300 * 4 * 1024 * ((1152 + 1024) + (1024 + 1024))
    assert upper == 20 * 4 * 1024 * ((4096 + 1024) + (1024 + 1024))
    assert classifier == 4096 * 4716 * 5


@pytest.mark.parametrize(("frames", "expected"), [(30, 0.76), (10, 0.42)])
def test_student_s_macs_are_the_derived_ones(frames, expected):
    student = make_full_size(frames, 5)
    assert round(student.macs(frames) / 1e9, 2) == expected


def test_parameters_are_as_many_as_derived():
    teacher = make_full_size(300, 20)
    assert round(teacher.count_params() / 1e6) == 143
    assert round(teacher.classifier.count_params() / 1e6) == 97


def test_macs_grow_with_the_frames_a_video_has():
    model = make_built()
    per_frame = 4 * CELLS * ((FEATURES + CELLS) + (CELLS + CELLS))
    per_block = 4 * CELLS * ((4 * CELLS + CELLS) + (CELLS + CELLS))
    classifier = 4 * CELLS * CLASSES
    for num_frames, blocks in ((1, 1), (3, 1), (4, 2), (7, 3)):
        assert model.macs(num_frames) == (
            num_frames * per_frame + blocks * per_block + classifier
        )


def test_one_layer_s_embedding_is_cell_state_then_output():
    model = make_built(lstm_layers=1)
    embedding = np.asarray(model(make_inputs())["embedding"])
    cell_state, output = np.split(embedding, 2, axis=1)
    assert np.all(np.abs(output) <= np.abs(np.tanh(cell_state)) + 1e-6)


def test_model_is_a_keras_model_with_a_classifier_on_top():
    model = make_built()
    assert isinstance(model, keras.Model)
    assert isinstance(model.classifier, Logistic)
