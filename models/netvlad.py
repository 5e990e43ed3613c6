"""NetVLAD and NetRVLAD: frames summed by cluster, with and without centres.

Arandjelovic et al., "NetVLAD", CVPR 2016, equation 4; for videos and without
centres, Miech, Laptev and Sivic 2017 (arXiv 1706.06905), section 3.
"""

import keras
from keras import ops

from distill.models.argument_checks import check_at_least
from distill.models.late_fusion import LateFusion, share_clusters
from distill.models.preprocessing import l2_normalize
from distill.models.soft_assignment import (
    ClusterPooling,
    flatten_clusters,
    sum_by_cluster,
    sum_shares,
)


@keras.saving.register_keras_serializable("models")
class NetRVlad(ClusterPooling):
    """Sums the frames by cluster: V_k = sum_t a_tk x_t.

    Every V_k is divided by its norm, then the whole by its norm. The
    arguments and call arguments are those of `ClusterPooling`.

    Returns:
      `[batch, features * num_clusters]` floats of norm 1.
    """

    def pool(self, frames, shares, training):
        """Returns the normalised sums."""
        sums = l2_normalize(self._sum(frames, shares))
        return l2_normalize(flatten_clusters(sums))

    def _sum(self, frames, shares):
        return sum_by_cluster(frames, shares)

    def compute_output_shape(self, frames_shape, real_shape=None):
        """Returns `[batch, features * num_clusters]`."""
        return (frames_shape[0], frames_shape[-1] * self.num_clusters)

    def macs(self, num_frames: int) -> int:
        """Returns the MACs of one video of `num_frames` frames."""
        return 2 * super().macs(num_frames)


@keras.saving.register_keras_serializable("models")
class NetVlad(NetRVlad):
    """Sums the frames' differences from the centre c_k of each cluster.

    V_k = sum_t a_tk x_t - (sum_t a_tk) c_k, otherwise as `NetRVlad`.
    """

    def build(self, frames_shape, real_shape=None):
        """Creates the assignment and `centres` `[features, clusters]`."""
        super().build(frames_shape)
        features = frames_shape[-1]
        self.centres = self.add_weight(
            name="centres",
            shape=(features, self.num_clusters),
            initializer=keras.initializers.RandomNormal(stddev=features**-0.5),
            autocast=False,
        )

    def _sum(self, frames, shares):
        centres = ops.transpose(self.centres)
        totals = sum_shares(shares)[:, :, None]
        return super()._sum(frames, shares) - totals * centres


@keras.saving.register_keras_serializable("models")
class NetVladModel(LateFusion):
    """Pools every feature by NetVLAD; later features get half the clusters.

    Args:
      classifier: Layer from `[batch, dim]` to `[batch, classes]`.
      feature_sizes: Width of every feature of a frame, in order.
      netvlad_cluster_size: Clusters of the first feature.
      netvlad_hidden_size: Width of the embedding.
      netvlad_relu: Whether a batch norm and relu6 replace the hidden layer's
        bias.
      netvlad_add_batch_norm: Whether there is any batch norm; biases take
        the place of those left out.
      lightvlad: Whether the clusters have no centres (NetRVLAD).
      gating: Whether the hidden layer passes a context gating.
      **kwargs: Further arguments of `LateFusion`.
    """

    def __init__(
        self,
        classifier: keras.layers.Layer,
        feature_sizes: tuple[int, ...],
        netvlad_cluster_size: int = 256,
        netvlad_hidden_size: int = 1024,
        netvlad_relu: bool = False,
        netvlad_add_batch_norm: bool = True,
        lightvlad: bool = False,
        gating: bool = True,
        **kwargs,
    ):
        check_at_least(
            1,
            netvlad_cluster_size=netvlad_cluster_size,
            netvlad_hidden_size=netvlad_hidden_size,
        )
        super().__init__(
            classifier,
            feature_sizes,
            cluster_size=netvlad_cluster_size,
            hidden_size=netvlad_hidden_size,
            hidden_activation="relu6" if netvlad_relu else None,
            add_batch_norm=netvlad_add_batch_norm,
            gating=gating,
            **kwargs,
        )
        self.netvlad_cluster_size = netvlad_cluster_size
        self.netvlad_hidden_size = netvlad_hidden_size
        self.netvlad_relu = netvlad_relu
        self.netvlad_add_batch_norm = netvlad_add_batch_norm
        self.lightvlad = lightvlad
        pooling = NetRVlad if lightvlad else NetVlad
        shares = share_clusters(netvlad_cluster_size, len(feature_sizes), 2)
        self.pools = [
            pooling(
                num_clusters,
                netvlad_add_batch_norm,
                dtype=self.dtype_policy,
                name=f"pool_{index}",
            )
            for index, num_clusters in enumerate(shares)
        ]

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "netvlad_cluster_size": self.netvlad_cluster_size,
            "netvlad_hidden_size": self.netvlad_hidden_size,
            "netvlad_relu": self.netvlad_relu,
            "netvlad_add_batch_norm": self.netvlad_add_batch_norm,
            "lightvlad": self.lightvlad,
        }
