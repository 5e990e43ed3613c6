"""NetVLAD and its kin: frames summed by cluster, with and without centres.

Arandjelovic et al., "NetVLAD", CVPR 2016, equation 4; for videos and without
centres, Miech, Laptev and Sivic 2017 (arXiv 1706.06905), section 3.
"""

import keras
from keras import ops

from distill.models.configs import NetVladConfig
from distill.models.late_fusion import LateFusion
from distill.models.preprocessing import l2_normalize
from distill.models.soft_assignment import (
    ClusterPooling,
    flatten_clusters,
    sum_assignments,
    sum_by_cluster,
)


@keras.saving.register_keras_serializable("distill.models")
class NetRVlad(ClusterPooling):
    """Sums the frames by cluster: V_k = sum_t a_tk x_t.

    Every V_k is divided by its norm, then the whole by its norm. The
    arguments and call arguments are those of `ClusterPooling`.

    Returns:
      `[batch, features * num_clusters]` floats of norm 1.
    """

    def pool(self, frames, assigned, training):
        """Returns the normalised sums."""
        sums = l2_normalize(self._sum(frames, assigned))
        return l2_normalize(flatten_clusters(sums))

    def _sum(self, frames, assigned):
        return sum_by_cluster(frames, assigned)

    def compute_output_shape(self, frames_shape, real_shape=None):
        """Returns `[batch, features * num_clusters]`."""
        return (frames_shape[0], frames_shape[-1] * self.num_clusters)

    def macs(self, num_frames: int) -> int:
        """Returns the MACs of one video of `num_frames` frames."""
        return 2 * super().macs(num_frames)


@keras.saving.register_keras_serializable("distill.models")
class NetVlad(NetRVlad):
    """Sums the frames' differences from the centre c_k of each cluster.

    V_k = sum_t a_tk x_t - (sum_t a_tk) c_k, otherwise as `NetRVlad`.
    """

    def build(self, frames_shape, real_shape=None):
        """Creates the assignment and `centres` `[features, clusters]`."""
        super().build(frames_shape)
        self.centres = self.add_cluster_weight("centres", frames_shape[-1])

    def _sum(self, frames, assigned):
        centres = ops.transpose(self.centres)
        totals = sum_assignments(assigned)[:, :, None]
        return super()._sum(frames, assigned) - totals * centres


@keras.saving.register_keras_serializable("distill.models")
class NetVlagd(NetRVlad):
    """Gates the sums of each cluster: V_k = g_k sum_t a_tk x_t.

    g_k = sigmoid(w_k) are weights, the same for all videos; otherwise as
    `NetRVlad`. The WILLOW code calls it NetVLAGD.
    """

    def build(self, frames_shape, real_shape=None):
        """Creates the assignment and `gates` `[features, clusters]`."""
        super().build(frames_shape)
        self.gates = self.add_cluster_weight("gates", frames_shape[-1])

    def _sum(self, frames, assigned):
        gates = ops.sigmoid(ops.transpose(self.gates))
        return super()._sum(frames, assigned) * gates


@keras.saving.register_keras_serializable("distill.models")
class NetVladModel(LateFusion):
    """Pools every feature by NetVLAD; later features get half the clusters."""

    config: NetVladConfig

    def pool_class(self, index: int) -> type[keras.layers.Layer]:
        """Returns NetVLAD, or NetRVLAD or NetVLAGD, without centres."""
        if self.config.vlagd:
            return NetVlagd
        return NetRVlad if self.config.lightvlad else NetVlad
