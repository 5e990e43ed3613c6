"""Logistic regression: one dense layer with a sigmoid.

YouTube-8M starter code, `LogisticModel`.
"""

import keras
from keras import ops

from distill.models.configs import LogisticConfig
from distill.models.vector_product import multiply_vectors
from distill.models.video_model import Classifier


@keras.saving.register_keras_serializable("distill.models")
class Logistic(Classifier):
    """Classifies a vector by one dense layer with a sigmoid.

    The L2 penalty is `config.l2` times half the matrix's squared sum.
    """

    config: LogisticConfig

    def build(self, input_shape):
        """Creates `kernel` `[dim, num_classes]` and `bias`."""
        self.kernel = self.add_weight(
            name="kernel",
            shape=(input_shape[-1], self.num_classes),
            initializer="glorot_uniform",
            regularizer=keras.regularizers.L2(self.config.l2 / 2),
        )
        self.bias = self.add_weight(
            name="bias", shape=(self.num_classes,), initializer="zeros"
        )

    def call(self, inputs):
        """Returns the class probabilities."""
        products = multiply_vectors(inputs, self.kernel)
        return ops.sigmoid(products + self.bias)

    def macs(self) -> int:
        """Returns the MACs of one video."""
        return self.kernel.shape[0] * self.num_classes
