"""A mixture of logistic experts per class.

Jordan and Jacobs, "Hierarchical mixtures of experts and the EM algorithm",
Neural Computation 1994; as `MoeModel` of the YouTube-8M starter code, with
the gates of Miech, Laptev and Sivic 2017 (arXiv 1706.06905).
"""

import keras
from keras import ops

from distill.models.argument_checks import check_at_least
from distill.models.context_gating import ContextGating


@keras.saving.register_keras_serializable("models")
class MixtureOfExperts(keras.layers.Layer):
    """Classifies a vector by a softmax-gated mixture of logistic experts.

    Every class has `moe_num_mixtures` sigmoid experts and one dummy expert
    that always says 0; a softmax over all of them weighs the experts.

    Args:
      num_classes: Number of classes.
      moe_num_mixtures: Experts per class, the dummy not counted.
      moe_l2: L2 penalty of the gates' and the experts' matrices, times half
        their squared sums.
      moe_prob_gating: Whether the probabilities pass a context gating.
      moe_prob_gating_remove_diag: Whether no class has a say in its own gate
        there.
      moe_low_rank_gating: Columns through which the gates' matrix is factored
        into two; 0 leaves it whole.

    Call arguments:
      inputs: `[batch, dim]` floats.
      training: Whether the probability gating uses the batch's statistics.

    Returns:
      `[batch, num_classes]` probabilities.
    """

    def __init__(
        self,
        num_classes: int,
        moe_num_mixtures: int = 2,
        moe_l2: float = 1e-8,
        moe_prob_gating: bool = False,
        moe_prob_gating_remove_diag: bool = False,
        moe_low_rank_gating: int = 0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        check_at_least(1, moe_num_mixtures=moe_num_mixtures)
        check_at_least(0, moe_low_rank_gating=moe_low_rank_gating)
        self.num_classes = num_classes
        self.moe_num_mixtures = moe_num_mixtures
        self.moe_l2 = moe_l2
        self.moe_prob_gating = moe_prob_gating
        self.moe_prob_gating_remove_diag = moe_prob_gating_remove_diag
        self.moe_low_rank_gating = moe_low_rank_gating
        self.prob_gating = None
        if moe_prob_gating:
            self.prob_gating = ContextGating(
                moe_prob_gating_remove_diag,
                dtype=self.dtype_policy,
                name="prob_gating",
            )

    def build(self, input_shape):
        """Creates the gates' and the experts' matrices."""
        dim, classes = input_shape[-1], self.num_classes
        rank = self.moe_low_rank_gating
        num_gates = classes * (self.moe_num_mixtures + 1)
        num_experts = classes * self.moe_num_mixtures
        if rank > 0:
            self.reduction_kernel = self._add_matrix(
                "reduction_kernel", dim, rank
            )
        self.gates_kernel = self._add_matrix(
            "gates_kernel", rank or dim, num_gates
        )
        self.experts_kernel = self._add_matrix(
            "experts_kernel", dim, num_experts
        )
        self.experts_bias = self.add_weight(
            name="experts_bias", shape=(num_experts,), initializer="zeros"
        )
        if self.prob_gating is not None:
            self.prob_gating.build((None, classes))

    def _add_matrix(self, name, rows, columns):
        return self.add_weight(
            name=name,
            shape=(rows, columns),
            initializer="glorot_uniform",
            regularizer=keras.regularizers.L2(self.moe_l2 / 2),
        )

    def call(self, inputs, training=False):
        """Returns the class probabilities."""
        mixtures = self.moe_num_mixtures
        gates = inputs
        if self.moe_low_rank_gating > 0:
            gates = ops.matmul(gates, self.reduction_kernel)
        gates = ops.matmul(gates, self.gates_kernel)
        experts = ops.matmul(inputs, self.experts_kernel) + self.experts_bias
        gates = ops.softmax(
            ops.reshape(gates, (-1, self.num_classes, mixtures + 1))
        )
        experts = ops.sigmoid(
            ops.reshape(experts, (-1, self.num_classes, mixtures))
        )
        predictions = ops.sum(gates[:, :, :mixtures] * experts, axis=-1)
        if self.prob_gating is None:
            return predictions
        return self.prob_gating(predictions, training=training)

    def compute_output_shape(self, input_shape):
        """Returns `[batch, num_classes]`."""
        return (*input_shape[:-1], self.num_classes)

    def macs(self) -> int:
        """Returns the MACs of one video."""
        matrices = [self.gates_kernel, self.experts_kernel]
        if self.moe_low_rank_gating > 0:
            matrices.append(self.reduction_kernel)
        count = sum(matrix.shape[0] * matrix.shape[1] for matrix in matrices)
        if self.prob_gating is not None:
            count += self.prob_gating.macs()
        return count

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "num_classes": self.num_classes,
            "moe_num_mixtures": self.moe_num_mixtures,
            "moe_l2": self.moe_l2,
            "moe_prob_gating": self.moe_prob_gating,
            "moe_prob_gating_remove_diag": self.moe_prob_gating_remove_diag,
            "moe_low_rank_gating": self.moe_low_rank_gating,
        }
