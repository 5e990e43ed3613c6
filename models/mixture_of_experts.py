"""A mixture of logistic experts per class.

Jordan and Jacobs, "Hierarchical mixtures of experts and the EM algorithm",
Neural Computation 1994; as `MoeModel` of the YouTube-8M starter code, with
the gates of Miech, Laptev and Sivic 2017 (arXiv 1706.06905).
"""

import functools

import keras
from keras import ops

from distill.models.configs import MixtureConfig
from distill.models.gating import ContextGating
from distill.models.vector_product import multiply_vectors
from distill.models.video_model import Classifier


@keras.saving.register_keras_serializable("distill.models")
class MixtureOfExperts(Classifier):
    """Classifies a vector by a softmax-gated mixture of logistic experts.

    Every class has `config.num_mixtures` sigmoid experts and one dummy expert
    that always predicts 0; a softmax over all of them weights the experts.
    The L2 penalty is `config.l2` times half the matrices' squared sums.
    `training` tells whether the probability gating uses the batch's statistics.
    """

    config: MixtureConfig

    def __init__(
        self, num_classes: int, config: MixtureConfig | None = None, **kwargs
    ):
        super().__init__(num_classes, config, **kwargs)
        self.prob_gating = None
        if self.config.prob_gating:
            self.prob_gating = self.make(
                ContextGating,
                "prob_gating",
                self.config.prob_gating_remove_diag,
                units=num_classes,
            )

    def build(self, input_shape):
        """Creates the gates' and the experts' matrices."""
        dim, classes = input_shape[-1], self.num_classes
        rank = self.config.low_rank_gating
        num_gates = classes * (self.config.num_mixtures + 1)
        num_experts = classes * self.config.num_mixtures
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
            gated_by = dim if self.config.gates_by_input else classes
            self.prob_gating.build((None, gated_by))

    def _add_matrix(self, name: str, rows: int, columns: int):
        return self.add_weight(
            name=name,
            shape=(rows, columns),
            initializer="glorot_uniform",
            regularizer=keras.regularizers.L2(self.config.l2 / 2),
        )

    def call(self, inputs, training=False):
        """Returns the class probabilities."""
        mixtures = self.config.num_mixtures
        gates = inputs
        if self.config.low_rank_gating > 0:
            gates = multiply_vectors(gates, self.reduction_kernel)
        gates = multiply_vectors(gates, self.gates_kernel)
        experts = multiply_vectors(inputs, self.experts_kernel)
        experts = experts + self.experts_bias
        predictions = _mix(
            ops.reshape(gates, (-1, self.num_classes, mixtures + 1)),
            ops.reshape(experts, (-1, self.num_classes, mixtures)),
        )
        if self.prob_gating is None:
            return predictions
        source = inputs if self.config.gates_by_input else None
        return self.prob_gating(predictions, source=source, training=training)

    def macs(self) -> int:
        """Returns the MACs of one video."""
        matrices = [self.gates_kernel, self.experts_kernel]
        if self.config.low_rank_gating > 0:
            matrices.append(self.reduction_kernel)
        count = sum(matrix.shape[0] * matrix.shape[1] for matrix in matrices)
        if self.prob_gating is not None:
            count += self.prob_gating.macs()
        return count


def _mix(gates, experts):
    """Returns `[batch, classes]` means of sigmoids, weighted by a softmax.

    Mixture by mixture: operations along an axis of two or three values take
    many times longer.

    Args:
      gates: Logits `[batch, classes, mixtures + 1]`, the dummy's last.
      experts: Logits `[batch, classes, mixtures]`.
    """
    gates = ops.unstack(gates, axis=-1)
    experts = ops.unstack(experts, axis=-1)
    greatest = ops.stop_gradient(functools.reduce(ops.maximum, gates))
    weights = [ops.exp(gate - greatest) for gate in gates]
    total = sum(weights)
    mixed = [
        weight / total * ops.sigmoid(expert)
        for weight, expert in zip(weights[:-1], experts, strict=True)
    ]
    return sum(mixed)
