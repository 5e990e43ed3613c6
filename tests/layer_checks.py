"""Checks that every layer and every model passes.

After keras-hub's `run_layer_test`: a test of a layer passes functions that
make it and its inputs, and adds its own comparison of the numbers.
"""

import inspect
import json
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

BATCH_SIZES = (1, 2, 5)
NUM_CLASSES = 4


def check_layer(
    make_layer: Callable[[], keras.Layer],
    make_arguments: Callable[[int], tuple],
) -> None:
    """Checks a layer that is called on arrays.

    Args:
      make_layer: Returns a new layer, not built yet.
      make_arguments: From a batch size to the arrays the layer is called on,
        in order; the first axis of each is the batch.
    """

    def make_built() -> keras.Layer:
        layer = make_layer()
        layer(*make_arguments(2))
        randomise_weights(layer)
        return layer

    arguments = make_arguments(max(BATCH_SIZES))
    check_config(make_layer)
    layer = make_built()
    check_any_batch_size(layer, arguments)
    check_bfloat16(layer, make_built, arguments)
    check_gradients(layer, arguments)
    inputs = [
        keras.Input(argument.shape[1:], dtype=str(argument.dtype))
        for argument in arguments
    ]
    wrapper = keras.Model(inputs, make_built()(*inputs))
    check_save_and_load(wrapper, (list(arguments),))


def check_frame_model(
    make_model: Callable[[], keras.Model],
    num_features: int,
    max_frames: int,
    seed: int = 0,
) -> None:
    """Checks a model that reads `frames` and `num_frames`.

    Args:
      make_model: Returns a new model, not built yet.
      num_features: Features of a frame.
      max_frames: Frames of the longest video it reads, 4 or more.
      seed: Of the weights: one by which no stack of ReLUs is zero for all
        videos.
    """
    batch_size = max(BATCH_SIZES)
    num_frames = np.linspace(1, max_frames, batch_size).astype(np.int32)
    frames = _normal((batch_size, max_frames, num_features))
    inputs = {
        "frames": _without_padding(frames, num_frames),
        "num_frames": num_frames,
    }
    shapes = {
        "frames": (None, max_frames, num_features),
        "num_frames": (None,),
    }
    model = _check_model(make_model, shapes, inputs, seed)
    check_padding(model, inputs)
    check_any_number_of_frames(model, inputs)
    check_video_without_frames(model, inputs)


def check_video_model(
    make_model: Callable[[], keras.Model], num_features: int
) -> None:
    """Checks a model that reads `features`.

    Args:
      make_model: Returns a new model, not built yet.
      num_features: Features of a video.
    """
    inputs = {"features": _normal((max(BATCH_SIZES), num_features))}
    shapes = {"features": (None, num_features)}
    _check_model(make_model, shapes, inputs)


def _check_model(make_model, shapes, inputs, seed=0):
    """Runs the checks of all models; returns a built one."""
    keras.utils.set_random_seed(seed)

    def make_built() -> keras.Model:
        model = make_model()
        model.build(shapes)
        randomise_weights(model, seed)
        return model

    check_config(make_model)
    model = make_built()
    check_output_contract(model, inputs)
    check_any_batch_size(model, (inputs,))
    check_bfloat16(model, make_built, (inputs,))
    check_save_and_load(model, (inputs,))
    # Training changes batch statistics: a model of its own.
    check_gradients(make_built(), (inputs,))
    return model


def check_config(make_layer: Callable[[], keras.Layer]) -> None:
    """Checks that the config is JSON, holds every argument and comes back."""
    layer = make_layer()
    config = layer.get_config()
    parameters = inspect.signature(type(layer).__init__).parameters
    arguments = {
        name
        for name, parameter in parameters.items()
        if name != "self" and parameter.kind is not parameter.VAR_KEYWORD
    }
    assert arguments <= set(config), "get_config leaves an argument out"
    for argument in arguments:
        assert hasattr(layer, argument), f"no attribute {argument}"
    again = type(layer).from_config(json.loads(json.dumps(config)))
    assert again.get_config() == config


def check_save_and_load(model: keras.Model, arguments: tuple) -> None:
    """Checks that a model loaded from a `.keras` file gives equal outputs."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "model.keras"
        with warnings.catch_warnings():
            # Keras 3.15 itself copies variables in NumPy 1's way.
            warnings.filterwarnings(
                "ignore", "__array__ implementation", DeprecationWarning
            )
            model.save(path)
            loaded = keras.saving.load_model(path)
    _assert_close(loaded(*arguments), model(*arguments), 1e-6)
    paths = [weight.path for weight in model.weights]
    assert [weight.path for weight in loaded.weights] == paths


def check_any_batch_size(layer: keras.Layer, arguments: tuple) -> None:
    """Checks that one graph serves several batch sizes, video by video."""
    num_traces = 0

    def forget_batch_size(array):
        return tf.TensorSpec([None, *array.shape[1:]], array.dtype)

    @tf.function(
        input_signature=tf.nest.map_structure(forget_batch_size, arguments)
    )
    def call(*inputs):
        nonlocal num_traces
        num_traces += 1
        return layer(*inputs)

    whole = tf.nest.map_structure(np.asarray, layer(*arguments))
    for size in BATCH_SIZES:
        some = tf.nest.map_structure(lambda a, n=size: a[:n], arguments)
        expected = tf.nest.map_structure(lambda a, n=size: a[:n], whole)
        _assert_close(call(*some), expected, 1e-5)
    assert num_traces == 1


def check_bfloat16(
    layer: keras.Layer, make_built: Callable[[], keras.Layer], arguments: tuple
) -> None:
    """Checks that under mixed_bfloat16 the outputs are roughly as before."""
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        mixed = make_built()
    finally:
        keras.config.set_dtype_policy(previous)
    mixed.set_weights(layer.get_weights())
    assert {weight.dtype for weight in mixed.weights} <= {"float32"}
    outputs = tf.nest.flatten(mixed(*arguments))
    for output, expected in zip(
        outputs, tf.nest.flatten(layer(*arguments)), strict=True
    ):
        values = np.asarray(keras.ops.cast(output, "float32"))
        assert np.isfinite(values).all()
        np.testing.assert_allclose(values, expected, rtol=0.1, atol=0.05)
    assert any(output.dtype == "bfloat16" for output in outputs)


def check_gradients(layer: keras.Layer, arguments: tuple) -> None:
    """Checks that a gradient reaches every trainable weight in one step.

    Of a model it is the gradient of the predictions.
    """
    takes_training = "training" in inspect.signature(layer.call).parameters
    options = {"training": True} if takes_training else {}
    with tf.GradientTape() as tape:
        outputs = layer(*arguments, **options)
        if isinstance(outputs, dict):
            outputs = outputs["predictions"]
        loss = tf.reduce_sum(outputs * _normal(outputs.shape))
    weights = layer.trainable_variables
    assert weights
    gradients = tape.gradient(loss, [weight.value for weight in weights])
    for weight, gradient in zip(weights, gradients, strict=True):
        assert gradient is not None, f"no gradient reaches {weight.path}"
        assert np.isfinite(gradient).all(), f"{weight.path}: not finite"
        assert np.any(gradient), f"the gradient of {weight.path} is zero"


def check_output_contract(model: keras.Model, inputs: dict) -> None:
    """Checks the keys, shapes and range of a model's outputs."""
    outputs = model(inputs)
    assert set(outputs) == {"embedding", "predictions"}
    predictions = np.asarray(outputs["predictions"])
    batch_size = len(next(iter(inputs.values())))
    assert predictions.shape == (batch_size, NUM_CLASSES)
    assert outputs["embedding"].shape[0] == batch_size
    assert len(outputs["embedding"].shape) == 2
    assert (predictions >= 0).all()
    assert (predictions <= 1).all()


def check_padding(model: keras.Model, inputs: dict) -> None:
    """Checks that frames at or beyond `num_frames` have no effect."""
    frames, num_frames = inputs["frames"], inputs["num_frames"]
    garbage = 100 * _normal(frames.shape, seed=1)
    real = _real_frames(frames, num_frames)
    dirty = inputs | {"frames": np.where(real, frames, garbage)}
    _assert_close(model(dirty), model(inputs), 1e-6)


def check_any_number_of_frames(model: keras.Model, inputs: dict) -> None:
    """Checks that zeros padded up to the greatest length have no effect."""
    max_frames = inputs["frames"].shape[1]
    for length in range(1, max_frames):
        num_frames = np.minimum(inputs["num_frames"], length)
        short = inputs | {
            "frames": inputs["frames"][:, :length],
            "num_frames": num_frames,
        }
        padded = inputs | {
            "frames": _without_padding(inputs["frames"], num_frames),
            "num_frames": num_frames,
        }
        _assert_close(model(short), model(padded), 1e-6)


def check_video_without_frames(model: keras.Model, inputs: dict) -> None:
    """Checks that `num_frames` 0 gives finite outputs."""
    empty = inputs | {"num_frames": np.zeros_like(inputs["num_frames"])}
    for output in model(empty).values():
        assert np.isfinite(output).all()


def randomise_weights(layer: keras.Layer, seed: int = 0) -> None:
    """Gives every weight random values, so that none is at its start."""
    rng = np.random.default_rng(seed)
    for weight in layer.weights:
        if weight.trainable:
            weight.assign(rng.normal(0, 0.5, weight.shape))
        else:
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))


def _normal(shape, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _real_frames(frames, num_frames):
    """Returns `[batch, frames, 1]`: whether a frame is a real one."""
    positions = np.arange(frames.shape[1])
    return (positions[None, :] < num_frames[:, None])[:, :, None]


def _without_padding(frames, num_frames):
    """Returns the frames with zeros at or beyond `num_frames`."""
    return np.where(_real_frames(frames, num_frames), frames, np.float32(0))


def _assert_close(actual: Any, expected: Any, tolerance: float) -> None:
    """Compares nests of arrays."""
    tf.nest.map_structure(
        lambda a, b: np.testing.assert_allclose(
            a, b, rtol=tolerance, atol=tolerance
        ),
        tf.nest.map_structure(np.asarray, actual),
        tf.nest.map_structure(np.asarray, expected),
    )
