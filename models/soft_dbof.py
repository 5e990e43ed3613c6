"""Soft and gated deep bag of frames: how much of each cluster a video has.

Miech, Laptev and Sivic, "Learnable pooling with context gating for video
classification", 2017 (arXiv 1706.06905), section 3; the gated variant is that
of their code, `GatedDBoF`.
"""

import keras
from keras import ops

from distill.models.configs import GatedDbofConfig, SoftDbofConfig
from distill.models.late_fusion import LateFusion
from distill.models.normalized_dense import NormalizedDense
from distill.models.preprocessing import l2_normalize
from distill.models.soft_assignment import ClusterPooling, sum_assignments
from distill.models.vector_product import multiply_vectors


@keras.saving.register_keras_serializable("distill.models")
class SoftDbof(ClusterPooling):
    """Sums the frames' assignments to every cluster: l2(sum_t a_t).

    With `max_pool` l2(max_t a_t) is appended. The other arguments are those
    of `ClusterPooling`.

    Returns:
      `[batch, num_clusters]` floats of norm 1, or twice as many.
    """

    def __init__(self, num_clusters: int, *, max_pool: bool = False, **kwargs):
        super().__init__(num_clusters, **kwargs)
        self.max_pool = max_pool

    def pool(self, frames, assigned, training):
        """Returns the normalised sums, and the maxima if set."""
        sums = l2_normalize(sum_assignments(assigned))
        if not self.max_pool:
            return sums
        return ops.concatenate([sums, _normalised_maxima(assigned)], axis=-1)

    def compute_output_shape(self, frames_shape, real_shape=None):
        """Returns `[batch, num_clusters]`, doubled by `max_pool`."""
        return (frames_shape[0], self.num_clusters * (1 + self.max_pool))


@keras.saving.register_keras_serializable("distill.models")
class GatedDbof(ClusterPooling):
    """Gates the sums of the assignments by their maxima: l2(g sum_t a_t).

    g = sigmoid(BN(l2(max_t a_t) D W2)), where D has as many columns as there
    are features. The arguments and call arguments are those of
    `ClusterPooling`; `add_batch_norm` holds for the gates too.

    Returns:
      `[batch, num_clusters]` floats of norm 1.
    """

    def __init__(
        self, num_clusters: int, add_batch_norm: bool = True, **kwargs
    ):
        super().__init__(num_clusters, add_batch_norm, **kwargs)
        self.gates = self.make(
            NormalizedDense, "gates", num_clusters, add_batch_norm
        )

    def build(self, frames_shape, real_shape=None):
        """Creates the assignment, `reduction` D and the gates."""
        super().build(frames_shape)
        features = frames_shape[-1]
        self.reduction = self.add_weight(
            name="reduction",
            shape=(self.num_clusters, features),
            initializer=keras.initializers.RandomNormal(stddev=features**-0.5),
        )
        self.gates.build((None, features))

    def pool(self, frames, assigned, training):
        """Returns the gated sums."""
        maxima = ops.cast(_normalised_maxima(assigned), self.compute_dtype)
        reduced = multiply_vectors(maxima, self.reduction)
        logits = self.gates(reduced, training=training)
        gates = ops.cast(ops.sigmoid(logits), "float32")
        return l2_normalize(gates * sum_assignments(assigned))

    def compute_output_shape(self, frames_shape, real_shape=None):
        """Returns `[batch, num_clusters]`."""
        return (frames_shape[0], self.num_clusters)

    def macs(self, num_frames: int) -> int:
        """Returns the MACs of one video of `num_frames` frames."""
        return super().macs(num_frames) + 2 * (self.gates.macs())


def _normalised_maxima(assigned):
    return l2_normalize(ops.cast(ops.max(assigned, axis=1), "float32"))


@keras.saving.register_keras_serializable("distill.models")
class SoftDbofModel(LateFusion):
    """Pools every feature by Soft DBoF; later ones by an eighth of clusters."""

    config: SoftDbofConfig
    cluster_divisor = 8

    def pool_class(self, index: int) -> type[keras.layers.Layer]:
        """Returns Soft DBoF."""
        return SoftDbof


@keras.saving.register_keras_serializable("distill.models")
class GatedDbofModel(SoftDbofModel):
    """Pools the first feature by Gated DBoF, later ones by Soft DBoF.

    The setting `max_pool` applies to the later features alone.
    """

    config: GatedDbofConfig

    def pool_class(self, index: int) -> type[keras.layers.Layer]:
        """Returns Gated DBoF for the first feature, else Soft DBoF."""
        return SoftDbof if index else GatedDbof
