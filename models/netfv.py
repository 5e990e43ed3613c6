"""NetFV: Fisher vectors of the frames with learned Gaussians.

Perronnin and Dance, "Fisher kernels on visual vocabularies for image
categorization", CVPR 2007; made differentiable by Miech, Laptev and Sivic
2017 (arXiv 1706.06905), section 3.
"""

import keras
from keras import ops

from distill.models.configs import NetFvConfig
from distill.models.late_fusion import LateFusion
from distill.models.preprocessing import l2_normalize
from distill.models.scaled_frames import multiply_out
from distill.models.soft_assignment import (
    ClusterPooling,
    flatten_clusters,
    sum_assignments,
    sum_by_cluster,
)


@keras.saving.register_keras_serializable("distill.models")
class NetFv(ClusterPooling):
    """Pools frames by their first and second moments in every cluster.

    With the centre c_k and the deviation s_k = w_k^2 + 1e-6 of a cluster,
    F1_k = sum_t a_tk (x_t - c_k) / s_k and
    F2_k = sum_t a_tk ((x_t - c_k)^2 / s_k^2 - 1). Every F1_k is divided by
    its norm, then both F1 and F2 as wholes by theirs. With `couple_weights`
    the centres are the assignment's matrix times `coupling_factor`, otherwise
    weights of their own. The other arguments are those of `ClusterPooling`.

    Returns:
      `[batch, 2 * features * num_clusters]` floats: F1, then F2.
    """

    def __init__(
        self,
        num_clusters: int,
        *,
        couple_weights: bool = False,
        coupling_factor: float = 0.01,
        **kwargs,
    ):
        super().__init__(num_clusters, **kwargs)
        self.couple_weights = couple_weights
        self.coupling_factor = coupling_factor

    def build(self, frames_shape, real_shape=None):
        """Creates `covariances` and `centres`, `[features, clusters]`."""
        super().build(frames_shape)
        features = frames_shape[-1]
        self.covariances = self.add_cluster_weight("covariances", features, 1.0)
        if not self.couple_weights:
            self.centres = self.add_cluster_weight("centres", features)

    def pool(self, frames, assigned, training):
        """Returns the normalised moments."""
        deviations = ops.transpose(ops.square(self.covariances) + 1e-6)
        centres = self._get_centres()
        totals = sum_assignments(assigned)[:, :, None]
        sums = sum_by_cluster(frames, assigned)
        squares = ops.square(multiply_out(frames))
        squares = sum_by_cluster(squares, assigned)
        first = (sums - totals * centres) / deviations
        spread = squares - 2 * centres * sums + totals * ops.square(centres)
        second = spread / ops.square(deviations) - totals
        return ops.concatenate(
            [
                l2_normalize(flatten_clusters(l2_normalize(first))),
                l2_normalize(flatten_clusters(second)),
            ],
            axis=-1,
        )

    def _get_centres(self):
        """Returns the centres, float32 `[clusters, features]`."""
        if not self.couple_weights:
            return ops.transpose(self.centres)
        kernel = ops.transpose(self.assignment.kernel)
        return self.coupling_factor * ops.cast(kernel, "float32")

    def compute_output_shape(self, frames_shape, real_shape=None):
        """Returns `[batch, 2 * features * num_clusters]`."""
        return (frames_shape[0], 2 * frames_shape[-1] * self.num_clusters)

    def macs(self, num_frames: int) -> int:
        """Returns the MACs of one video of `num_frames` frames."""
        return 3 * super().macs(num_frames)


@keras.saving.register_keras_serializable("distill.models")
class NetFvModel(LateFusion):
    """Pools every feature by NetFV; later features get half the clusters."""

    config: NetFvConfig

    def pool_class(self, index: int) -> type[keras.layers.Layer]:
        """Returns NetFV."""
        return NetFv
