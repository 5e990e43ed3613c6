"""From gradients to new weights: learning rate, clipping and optimiser."""

import functools
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from distill.models import keras_private
from distill.settings.training import TrainingSettings

# Over the run, from the base rate to 0.
_RUN_SCHEDULES: dict[str, Any] = {
    "linear": functools.partial(
        keras.optimizers.schedules.PolynomialDecay, end_learning_rate=0.0
    ),
    "cosine": keras.optimizers.schedules.CosineDecay,
}


def learning_rate(
    training: TrainingSettings, examples_seen: int, run_share: float
) -> float:
    """Returns the learning rate of a step.

    staircase: the base rate times the decay for every full
    `learning_rate_decay_examples` seen (YouTube-8M starter code). linear and
    cosine: Keras's schedules over the run. The warm-up is a linear factor on
    any of them (Goyal et al., arXiv 1706.02677, section 2.2).

    Args:
      training: The schedule and its numbers.
      examples_seen: Examples of all steps before.
      run_share: Share of the run before this step, from 0 to 1.
    """
    rate, name = training.base_learning_rate, training.learning_rate_schedule
    if name == "staircase":
        decays = examples_seen // training.learning_rate_decay_examples
        rate *= training.learning_rate_decay**decays
    elif name in _RUN_SCHEDULES:
        schedule = _RUN_SCHEDULES[name](rate, decay_steps=1)
        rate = float(schedule(run_share))
    if examples_seen < training.warmup_examples:
        rate *= examples_seen / training.warmup_examples
    return rate


def make_optimizer(training: TrainingSettings) -> keras.optimizers.Optimizer:
    """Returns the optimiser that the settings name, with their base rate."""
    factories = vars(keras.optimizers) | {
        "Adam": functools.partial(FusedAdam, epsilon=training.adam_epsilon),
        "AdamW": functools.partial(
            keras.optimizers.AdamW, epsilon=training.adam_epsilon
        ),
        "Momentum": functools.partial(
            keras.optimizers.SGD, momentum=training.momentum
        ),
    }
    optimizer = factories[training.optimizer](training.base_learning_rate)
    # The step sums gradients over the replicas itself, before it clips them.
    keras_private.leave_gradients_as_given(optimizer)
    return optimizer


def apply_gradients(
    optimizer: keras.optimizers.Optimizer,
    gradients: Sequence[tf.Tensor | None],
    variables: Sequence[keras.Variable],
    clip_norm: float,
) -> None:
    """Changes the variables once, by clipped gradients, one each or None.

    A gradient whose L2 norm is above `clip_norm` is scaled down to it; 0 is no
    bound.
    """
    if clip_norm:
        gradients = [
            None if gradient is None else _clip(gradient, clip_norm)
            for gradient in gradients
        ]
    optimizer.apply_gradients(zip(gradients, variables, strict=True))


def _clip(gradient: tf.Tensor, clip_norm: float) -> tf.Tensor:
    """Reads a gradient within the bound once and writes nothing."""
    norm = tf.sqrt(2.0 * tf.nn.l2_loss(gradient))
    return tf.cond(
        norm > clip_norm,
        lambda: gradient * (clip_norm / norm),
        lambda: gradient,
    )


class FusedAdam(keras.optimizers.Adam):
    """Keras's Adam with one operation and one pass for each variable.

    Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015. The
    operation reads a weight, its two moments and its gradient, and writes the
    first three: 28 bytes a weight.
    """

    def update_step(self, gradient, variable, learning_rate):
        """Changes one variable and its moments."""
        step = tf.cast(self.iterations + 1, variable.dtype)
        momentum, velocity = keras_private.adam_moments(self, variable)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=momentum.value.handle,
            v=velocity.value.handle,
            beta1_power=tf.pow(tf.cast(self.beta_1, variable.dtype), step),
            beta2_power=tf.pow(tf.cast(self.beta_2, variable.dtype), step),
            lr=tf.cast(learning_rate, variable.dtype),
            beta1=tf.cast(self.beta_1, variable.dtype),
            beta2=tf.cast(self.beta_2, variable.dtype),
            epsilon=tf.cast(self.epsilon, variable.dtype),
            grad=tf.cast(gradient, variable.dtype),
        )
