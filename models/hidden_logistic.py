"""Logistic regression on hidden layers with sigmoids.

`SingleHiddenLayerModel` and its kin of the released code of Bhardwaj et al.,
"Efficient video classification using fewer frames", CVPR 2019.
"""

import keras
from keras import ops

from distill.models.configs import DoubleHiddenConfig, SingleHiddenConfig
from distill.models.vector_product import VectorDense
from distill.models.video_model import Classifier


@keras.saving.register_keras_serializable("distill.models")
class SingleHiddenLogistic(Classifier):
    """Classifies a vector by a hidden layer and an output, both sigmoid.

    Dropout acts after the first hidden layer. With `config.scaled` the scores
    of a video are moved and stretched so that its least is 0, its greatest 1.
    The L2 penalty is `config.l2` times half the matrices' squared sums, and
    `config.bias_l2` times half that of the output's bias.
    """

    config: SingleHiddenConfig

    def __init__(
        self,
        num_classes: int,
        config: SingleHiddenConfig | None = None,
        **kwargs,
    ):
        super().__init__(num_classes, config, **kwargs)
        penalty = keras.regularizers.L2(self.config.l2 / 2)
        self.hiddens = [
            self.make(
                VectorDense,
                f"hidden_{index}",
                units,
                activation=activation,
                kernel_regularizer=penalty,
            )
            for index, (units, activation) in enumerate(self.config.layers)
        ]
        self.drop = self.make(keras.layers.Dropout, "drop", self.config.dropout)
        self.output_dense = self.make(
            VectorDense,
            "output",
            num_classes,
            activation="sigmoid",
            kernel_regularizer=penalty,
            bias_regularizer=keras.regularizers.L2(self.config.bias_l2 / 2),
        )

    def build(self, input_shape):
        """Builds all layers for `[batch, dim]`."""
        width = input_shape[-1]
        for dense in (*self.hiddens, self.output_dense):
            dense.build((None, width))
            width = dense.units

    def call(self, inputs, training=False):
        """Returns the class probabilities."""
        outputs = self.drop(self.hiddens[0](inputs), training=training)
        for hidden in self.hiddens[1:]:
            outputs = hidden(outputs)
        scores = self.output_dense(outputs)
        if not self.config.scaled:
            return scores
        least = ops.min(scores, axis=-1, keepdims=True)
        span = ops.max(scores, axis=-1, keepdims=True) - least
        return (scores - least) / ops.maximum(span, 1e-7)

    def macs(self) -> int:
        """Returns the MACs of one video."""
        denses = (*self.hiddens, self.output_dense)
        return sum(d.kernel.shape[0] * d.kernel.shape[1] for d in denses)


@keras.saving.register_keras_serializable("distill.models")
class DoubleHiddenLogistic(SingleHiddenLogistic):
    """Classifies a vector by a tanh layer, then as `SingleHiddenLogistic`."""

    config: DoubleHiddenConfig
