"""A mixture of logistic experts per class.

Jordan and Jacobs, "Hierarchical mixtures of experts and the EM algorithm",
Neural Computation 1994; as `MoeModel` of the YouTube-8M starter code.
"""

import keras
from keras import ops


@keras.saving.register_keras_serializable("models")
class MixtureOfExperts(keras.layers.Layer):
    """Classifies a vector by a softmax-gated mixture of logistic experts.

    Every class has `moe_num_mixtures` sigmoid experts and one dummy expert
    that always says 0; a softmax over all of them weighs the experts.

    Args:
      num_classes: Number of classes.
      moe_num_mixtures: Experts per class, the dummy not counted.
      moe_l2: L2 penalty of both matrices, times half their squared sums.

    Call arguments:
      inputs: `[batch, dim]` floats.

    Returns:
      `[batch, num_classes]` probabilities.
    """

    def __init__(
        self,
        num_classes: int,
        moe_num_mixtures: int = 2,
        moe_l2: float = 1e-8,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if moe_num_mixtures < 1:
            raise ValueError(
                f"moe_num_mixtures must be 1 or more, got {moe_num_mixtures}."
            )
        self.num_classes = num_classes
        self.moe_num_mixtures = moe_num_mixtures
        self.moe_l2 = moe_l2

    def build(self, input_shape):
        """Creates the gates' and the experts' matrices."""
        dim, classes = input_shape[-1], self.num_classes
        num_gates = classes * (self.moe_num_mixtures + 1)
        num_experts = classes * self.moe_num_mixtures
        self.gates_kernel = self._add_matrix("gates_kernel", dim, num_gates)
        self.experts_kernel = self._add_matrix(
            "experts_kernel", dim, num_experts
        )
        self.experts_bias = self.add_weight(
            name="experts_bias", shape=(num_experts,), initializer="zeros"
        )

    def _add_matrix(self, name, rows, columns):
        return self.add_weight(
            name=name,
            shape=(rows, columns),
            initializer="glorot_uniform",
            regularizer=keras.regularizers.L2(self.moe_l2 / 2),
        )

    def call(self, inputs):
        """Returns the class probabilities."""
        mixtures = self.moe_num_mixtures
        gates = ops.matmul(inputs, self.gates_kernel)
        experts = ops.matmul(inputs, self.experts_kernel) + self.experts_bias
        gates = ops.softmax(
            ops.reshape(gates, (-1, self.num_classes, mixtures + 1))
        )
        experts = ops.sigmoid(
            ops.reshape(experts, (-1, self.num_classes, mixtures))
        )
        return ops.sum(gates[:, :, :mixtures] * experts, axis=-1)

    def compute_output_shape(self, input_shape):
        """Returns `[batch, num_classes]`."""
        return (*input_shape[:-1], self.num_classes)

    def multiply_adds(self) -> int:
        """Returns the multiply-adds of one video."""
        columns = self.num_classes * (2 * self.moe_num_mixtures + 1)
        return self.gates_kernel.shape[0] * columns

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "num_classes": self.num_classes,
            "moe_num_mixtures": self.moe_num_mixtures,
            "moe_l2": self.moe_l2,
        }
