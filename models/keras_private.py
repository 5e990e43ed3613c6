"""Every private name of Keras that this project uses.

Private names may change in any release. These were tried on Keras 3.15, to
which `pyproject.toml` pins the project; try them again before it is raised.

| name | why no public one serves |
| --- | --- |
| `Layer._flatten_layers` | all layers of a model at any depth; `layers` lists |
| | only the first level |
| `Layer._seed_generators` | the random states of a layer, to draw anew for |
| | every micro-batch |
| `BatchNormalization._moments` | statistics over replicas that leave padding |
| | out; `synchronized` ignores masks |
| `BatchNormalization._reduction_axes` | the axes of these statistics |
| `Optimizer._all_reduce_sum_gradients` | gradients are summed before they are |
| | clipped, so the optimiser must not sum them again |
| `Adam._get_variable_index`, `_momentums`, `_velocities` | the state of a |
| | variable, which one fused operation updates |
"""

from collections.abc import Callable
from typing import Any

import keras


def all_layers(model: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Returns a model and all layers in it, at any depth.

    The public `layers` lists the first level alone.
    """
    return list(model._flatten_layers())


def seed_generators(
    model: keras.layers.Layer,
) -> list[keras.random.SeedGenerator]:
    """Returns the random generators of all layers of a model, each once."""
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

    The public `synchronized`, over replicas, ignores masks.

    Args:
      norm: A built layer.
      moments: Called with the inputs, their mask (or None) and `axes`;
        returns mean and variance `[dim]`.
    """
    axes = norm._reduction_axes

    def axes_moments(inputs: Any, mask: Any) -> Any:
        return moments(inputs, mask, axes=axes)

    untyped: Any = norm
    untyped._moments = axes_moments


def leave_gradients_as_given(optimizer: Any) -> None:
    """Stops an optimiser from summing gradients over the replicas.

    They are summed before they are clipped, thus before the optimiser.
    """
    optimizer._all_reduce_sum_gradients = list


def adam_moments(
    optimizer: keras.optimizers.Adam, variable: Any
) -> tuple[keras.Variable, keras.Variable]:
    """Returns the first and the second moment of a variable's gradient."""
    state: Any = optimizer
    index = state._get_variable_index(variable)
    return state._momentums[index], state._velocities[index]
