"""Gradients to new weights: clipping, and the optimiser by its name."""

import keras
import tensorflow as tf

from distill.settings.training import TrainingSettings


def make_optimizer(training: TrainingSettings) -> keras.optimizers.Optimizer:
    """Returns the optimiser that the settings name, with their first rate."""
    classes = vars(keras.optimizers) | {"Adam": FusedAdam}
    optimizer = classes[training.optimizer](training.base_learning_rate)
    # Gradients come summed over the replicas, for they are clipped before.
    optimizer._all_reduce_sum_gradients = list
    return optimizer


def apply_gradients(
    optimizer: keras.optimizers.Optimizer, gradients, variables, most: float
) -> None:
    """Changes the variables once, by gradients of a bounded norm.

    Args:
      optimizer: Built for the variables.
      gradients: A tensor for each variable, or None.
      variables: What changes.
      most: The largest L2 norm of each variable's gradient, to which larger
        ones are scaled down; 0 for no bound.
    """
    if most:
        gradients = [
            None if gradient is None else _clip(gradient, most)
            for gradient in gradients
        ]
    optimizer.apply_gradients(zip(gradients, variables, strict=True))


def _clip(gradient, most):
    """Reads a small gradient once and writes nothing."""
    norm = tf.sqrt(2.0 * tf.nn.l2_loss(gradient))
    return tf.cond(
        norm > most, lambda: gradient * (most / norm), lambda: gradient
    )


class FusedAdam(keras.optimizers.Adam):
    """Keras's Adam, each variable by one operation in one pass.

    Kingma and Ba, "Adam: a method for stochastic optimization", ICLR 2015. The
    variables are Keras's; every weight, its two moments and its gradient are
    read and the first three written: 28 bytes a weight.
    """

    def update_step(self, gradient, variable, learning_rate):
        """Changes one variable, here TensorFlow's own, and its moments."""
        step = tf.cast(self.iterations + 1, variable.dtype)
        index = self._get_variable_index(variable)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.pow(tf.cast(self.beta_1, variable.dtype), step),
            beta2_power=tf.pow(tf.cast(self.beta_2, variable.dtype), step),
            lr=tf.cast(learning_rate, variable.dtype),
            beta1=tf.cast(self.beta_1, variable.dtype),
            beta2=tf.cast(self.beta_2, variable.dtype),
            epsilon=tf.cast(self.epsilon, variable.dtype),
            grad=tf.cast(gradient, variable.dtype),
        )
