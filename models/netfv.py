"""NetFV: Fisher vectors of the frames with learned Gaussians.

Perronnin and Dance, "Fisher kernels on visual vocabularies for image
categorization", CVPR 2007; made differentiable by Miech, Laptev and Sivic
2017 (arXiv 1706.06905), section 3.
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
class NetFv(ClusterPooling):
    """Pools frames by their first and second moments in every cluster.

    With the centre c_k and the deviation s_k = w_k^2 + 1e-6 of a cluster,
    F1_k = sum_t a_tk (x_t - c_k) / s_k and
    F2_k = sum_t a_tk ((x_t - c_k)^2 / s_k^2 - 1). Every F1_k is divided by
    its norm, then both F1 and F2 as wholes by theirs.

    Args:
      num_clusters: Number of clusters.
      add_batch_norm: Whether the assignment's logits are normalised over the
        batch's real frames; otherwise a bias is added.
      couple_weights: Whether the centres are the assignment's matrix times
        `coupling_factor`; otherwise they are weights of their own.
      coupling_factor: That factor.

    Returns:
      `[batch, 2 * features * num_clusters]` floats: F1, then F2.
    """

    def __init__(
        self,
        num_clusters: int,
        add_batch_norm: bool = True,
        couple_weights: bool = False,
        coupling_factor: float = 0.01,
        **kwargs,
    ):
        super().__init__(num_clusters, add_batch_norm, **kwargs)
        self.couple_weights = couple_weights
        self.coupling_factor = coupling_factor

    def build(self, frames_shape, real_shape=None):
        """Creates `covariances` and `centres`, `[features, clusters]`."""
        super().build(frames_shape)
        features = frames_shape[-1]
        stddev = features**-0.5
        self.covariances = self.add_weight(
            name="covariances",
            shape=(features, self.num_clusters),
            initializer=keras.initializers.RandomNormal(1.0, stddev),
            autocast=False,
        )
        if not self.couple_weights:
            self.centres = self.add_weight(
                name="centres",
                shape=(features, self.num_clusters),
                initializer=keras.initializers.RandomNormal(stddev=stddev),
                autocast=False,
            )

    def pool(self, frames, shares, training):
        """Returns the normalised moments."""
        deviations = ops.transpose(ops.square(self.covariances) + 1e-6)
        centres = self._get_centres()
        totals = sum_shares(shares)[:, :, None]
        sums = sum_by_cluster(frames, shares)
        squares = sum_by_cluster(ops.square(frames), shares)
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

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "couple_weights": self.couple_weights,
            "coupling_factor": self.coupling_factor,
        }


@keras.saving.register_keras_serializable("models")
class NetFvModel(LateFusion):
    """Pools every feature by NetFV; later features get half the clusters.

    Args:
      classifier: Layer from `[batch, dim]` to `[batch, classes]`.
      feature_sizes: Width of every feature of a frame, in order.
      fv_cluster_size: Clusters of the first feature.
      fv_hidden_size: Width of the embedding.
      fv_relu: Whether a batch norm and relu6 replace the hidden layer's bias.
      fv_add_batch_norm: Whether there is any batch norm; biases take the
        place of those left out.
      fv_couple_weights: Whether the centres are the assignment's matrix times
        `fv_coupling_factor`.
      fv_coupling_factor: That factor.
      gating: Whether the hidden layer passes a context gating.
      **kwargs: Further arguments of `LateFusion`.
    """

    def __init__(
        self,
        classifier: keras.layers.Layer,
        feature_sizes: tuple[int, ...],
        fv_cluster_size: int = 128,
        fv_hidden_size: int = 1024,
        fv_relu: bool = False,
        fv_add_batch_norm: bool = True,
        fv_couple_weights: bool = False,
        fv_coupling_factor: float = 0.01,
        gating: bool = True,
        **kwargs,
    ):
        check_at_least(
            1, fv_cluster_size=fv_cluster_size, fv_hidden_size=fv_hidden_size
        )
        super().__init__(
            classifier,
            feature_sizes,
            cluster_size=fv_cluster_size,
            hidden_size=fv_hidden_size,
            hidden_activation="relu6" if fv_relu else None,
            add_batch_norm=fv_add_batch_norm,
            gating=gating,
            **kwargs,
        )
        self.fv_cluster_size = fv_cluster_size
        self.fv_hidden_size = fv_hidden_size
        self.fv_relu = fv_relu
        self.fv_add_batch_norm = fv_add_batch_norm
        self.fv_couple_weights = fv_couple_weights
        self.fv_coupling_factor = fv_coupling_factor
        shares = share_clusters(fv_cluster_size, len(feature_sizes), 2)
        self.pools = [
            NetFv(
                num_clusters,
                fv_add_batch_norm,
                fv_couple_weights,
                fv_coupling_factor,
                dtype=self.dtype_policy,
                name=f"pool_{index}",
            )
            for index, num_clusters in enumerate(shares)
        ]

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "fv_cluster_size": self.fv_cluster_size,
            "fv_hidden_size": self.fv_hidden_size,
            "fv_relu": self.fv_relu,
            "fv_add_batch_norm": self.fv_add_batch_norm,
            "fv_couple_weights": self.fv_couple_weights,
            "fv_coupling_factor": self.fv_coupling_factor,
        }
