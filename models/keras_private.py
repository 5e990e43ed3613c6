"""Every private name of Keras that this project uses.

Private names may change in any release. These were tried on Keras 3.15, to
which `pyproject.toml` pins the project; try them again before it is raised.
Each function says why no public name serves.
"""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
from keras.src.backend import rnn
from keras.src.utils import file_utils
from keras.src.utils.module_utils import tensorflow as tf


def all_layers(model: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Returns a model and all layers in it, at any depth.

    The public `layers` lists the first level alone.
    """
    return list(model._flatten_layers())


def seed_generators(
    model: keras.layers.Layer,
) -> list[keras.random.SeedGenerator]:
    """Returns the random generators of all layers of a model, each once.

    Keras has no public list of them; micro-batches draw from them anew.
    """
    generators = {
        id(generator): generator
        for layer in all_layers(model)
        for generator in layer._seed_generators
    }
    return list(generators.values())


def replace_moments(
    norm: keras.layers.BatchNormalization, moments: Callable
) -> None:
    """Makes a batch norm take its statistics from a function.

    No public name sets them, and the public `synchronized` ignores masks.

    Args:
      norm: A layer, built or not.
      moments: Called with the inputs, their mask (or None) and `axes`;
        returns mean and variance `[dim]`.
    """
    untyped: Any = norm

    def take_moments(inputs: Any, mask: Any) -> Any:
        return moments(inputs, mask, axes=untyped._reduction_axes)

    untyped._moments = take_moments


def loop_over_time(
    step: Callable, inputs: Any, states: Any, most_times: int
) -> tuple[Any, Any]:
    """Runs a function over the first axis of its inputs, in a loop.

    The public `ops.scan` wants outputs of the states' shapes.

    Args:
      step: Called with the inputs of a time and the states; returns an output
        and the next states.
      inputs: Arrays `[times, ...]`.
      states: Arrays.
      most_times: At least as many as the inputs' times.

    Returns:
      The outputs `[times, ...]` and the last states.
    """
    _, outputs, states = rnn(
        step, inputs, states, time_major=True, input_length=most_times
    )
    return outputs, states


def sigmoid_gradient(outputs: Any, gradient: Any) -> Any:
    """Returns the gradient of a sigmoid's inputs from that of its outputs.

    TensorFlow has one operation for it, and Keras no name for that.
    """
    if keras.backend.backend() == "tensorflow":
        return tf.raw_ops.SigmoidGrad(y=outputs, dy=gradient)
    return gradient * outputs * (1 - outputs)


def tanh_gradient(outputs: Any, gradient: Any) -> Any:
    """Returns the gradient of a tanh's inputs, as `sigmoid_gradient` does."""
    if keras.backend.backend() == "tensorflow":
        return tf.raw_ops.TanhGrad(y=outputs, dy=gradient)
    return gradient * (1 - outputs * outputs)


def leave_gradients_as_given(optimizer: Any) -> None:
    """Stops an optimiser from summing gradients over the replicas.

    They are summed before they are clipped, thus before the optimiser.
    """
    optimizer._all_reduce_sum_gradients = list


def adam_moments(
    optimizer: keras.optimizers.Adam, variable: Any
) -> tuple[keras.Variable, keras.Variable]:
    """Returns the first and the second moment of a variable's gradient.

    One fused operation updates them; `variables` has no key for them.
    """
    state: Any = optimizer
    index = state._get_variable_index(variable)
    return state._momentums[index], state._velocities[index]


@contextlib.contextmanager
def application_files(
    find: Callable[[Path, str, str | None], Path],
) -> Iterator[None]:
    """Asks a function for the weights that applications would download.

    `keras.applications` downloads what is missing or has another hash, and no
    public name tells which file it wants.

    Args:
      find: Called with the place where Keras keeps a file, the URL that it
        would download, and the file's MD5 or SHA-256, or None; returns the
        path of the file.
    """

    def get_file(fname, origin, cache_subdir, file_hash=None, **_):
        place = Path(file_utils.config.keras_home(), cache_subdir, fname)
        return str(find(place, origin, file_hash))

    kept, file_utils.get_file = file_utils.get_file, get_file
    try:
        yield
    finally:
        file_utils.get_file = kept


def has_hash(path: Path, file_hash: str) -> bool:
    """Returns whether a file has an MD5 or SHA-256, as Keras checks it."""
    return file_utils.validate_file(str(path), file_hash)
