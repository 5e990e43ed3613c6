"""What the converters of TensorFlow's graphs share."""

import contextlib
import logging
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from distill.deployment.interface import VideoInterface
from distill.models.fixed_shapes import fixed_shapes

_MOST_INT8 = 127


@contextlib.contextmanager
def quiet_converters() -> Iterator[None]:
    """Shows only errors while TensorFlow and the converters run."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)


def input_specs(interface: VideoInterface) -> dict[str, tf.TensorSpec]:
    """Returns the inputs of a network, by their names."""
    schema = interface.schema
    if not schema.frame_features:
        shape = [None, schema.num_features]
        return {"features": tf.TensorSpec(shape, tf.float32, name="features")}
    shape = [None, schema.max_frames, schema.num_features]
    return {
        "frames": tf.TensorSpec(shape, schema.frame_type, name="frames"),
        "num_frames": tf.TensorSpec([None], tf.int32, name="num_frames"),
    }


def with_weights_as_inputs(
    model: keras.Model, interface: VideoInterface, weights: Mapping[str, Any]
) -> tf.types.experimental.PolymorphicFunction:
    """Returns a network as a function that also takes some of its weights.

    Args:
      model: From a batch of videos as stored to `[batch, classes]`.
      interface: Inputs and outputs of the model.
      weights: Variables of the model by the names of their inputs, which come
        behind those of the videos.

    Returns:
      A function with an input signature, to a dict of `predictions`.
    """
    specs = input_specs(interface)
    signature = [*specs.values()] + [
        tf.TensorSpec(variable.shape, variable.dtype, name=name)
        for name, variable in weights.items()
    ]

    def predict(*tensors):
        inputs = dict(zip(specs, tensors, strict=False))
        values = {id(variable): variable.value for variable in model.variables}
        values |= zip(
            map(id, weights.values()), tensors[len(specs) :], strict=True
        )
        with fixed_shapes():
            predictions, _ = model.stateless_call(
                [values[id(v)] for v in model.trainable_variables],
                [values[id(v)] for v in model.non_trainable_variables],
                inputs,
                training=False,
            )
        return {"predictions": predictions}

    return tf.function(predict, input_signature=signature)


def quantise_columns(matrix: Any) -> tuple[np.ndarray, np.ndarray]:
    """Returns a matrix as int8 in [-127, 127], and a scale for each column."""
    matrix = np.asarray(matrix, np.float32)
    largest = np.max(np.abs(matrix), axis=0)
    scales = np.where(largest > 0, largest / _MOST_INT8, 1).astype(np.float32)
    return np.rint(matrix / scales).astype(np.int8), scales
