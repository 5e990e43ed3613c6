"""Logistic regression: one dense layer with a sigmoid.

YouTube-8M starter code, `LogisticModel`.
"""

import keras
from keras import ops


@keras.saving.register_keras_serializable("models")
class Logistic(keras.layers.Layer):
    """Classifies a vector by one dense layer with a sigmoid.

    Args:
      num_classes: Number of classes.
      logistic_l2: L2 penalty of the matrix, times half its squared sum.

    Call arguments:
      inputs: `[batch, dim]` floats.

    Returns:
      `[batch, num_classes]` probabilities.
    """

    def __init__(self, num_classes: int, logistic_l2: float = 1e-8, **kwargs):
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.logistic_l2 = logistic_l2

    def build(self, input_shape):
        """Creates `kernel` `[dim, num_classes]` and `bias`."""
        self.kernel = self.add_weight(
            name="kernel",
            shape=(input_shape[-1], self.num_classes),
            initializer="glorot_uniform",
            regularizer=keras.regularizers.L2(self.logistic_l2 / 2),
        )
        self.bias = self.add_weight(
            name="bias", shape=(self.num_classes,), initializer="zeros"
        )

    def call(self, inputs):
        """Returns the class probabilities."""
        return ops.sigmoid(ops.matmul(inputs, self.kernel) + self.bias)

    def compute_output_shape(self, input_shape):
        """Returns `[batch, num_classes]`."""
        return (*input_shape[:-1], self.num_classes)

    def macs(self) -> int:
        """Returns the MACs of one video."""
        return self.kernel.shape[0] * self.num_classes

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "num_classes": self.num_classes,
            "logistic_l2": self.logistic_l2,
        }
