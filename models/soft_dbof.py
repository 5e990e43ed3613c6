"""Soft and gated deep bag of frames: how much of each cluster a video has.

Miech, Laptev and Sivic, "Learnable pooling with context gating for video
classification", 2017 (arXiv 1706.06905), section 3; the gated variant is that
of their code, `GatedDBoF`.
"""

import keras
from keras import ops

from distill.models.argument_checks import check_at_least
from distill.models.late_fusion import LateFusion, share_clusters
from distill.models.normalized_dense import NormalizedDense
from distill.models.preprocessing import l2_normalize
from distill.models.soft_assignment import ClusterPooling, sum_shares


@keras.saving.register_keras_serializable("models")
class SoftDbof(ClusterPooling):
    """Sums the frames' shares in every cluster: l2(sum_t a_t).

    Args:
      num_clusters: Number of clusters.
      add_batch_norm: Whether the assignment's logits are normalised over the
        batch's real frames; otherwise a bias is added.
      max_pool: Whether l2(max_t a_t) is appended.

    Returns:
      `[batch, num_clusters]` floats of norm 1, or twice as many.
    """

    def __init__(
        self,
        num_clusters: int,
        add_batch_norm: bool = True,
        max_pool: bool = False,
        **kwargs,
    ):
        super().__init__(num_clusters, add_batch_norm, **kwargs)
        self.max_pool = max_pool

    def pool(self, frames, shares, training):
        """Returns the normalised sums, and the maxima if wanted."""
        sums = l2_normalize(sum_shares(shares))
        if not self.max_pool:
            return sums
        return ops.concatenate([sums, _normalised_maxima(shares)], axis=-1)

    def compute_output_shape(self, frames_shape, real_shape=None):
        """Returns `[batch, num_clusters]`, doubled by `max_pool`."""
        return (frames_shape[0], self.num_clusters * (1 + self.max_pool))

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {"max_pool": self.max_pool}


@keras.saving.register_keras_serializable("models")
class GatedDbof(ClusterPooling):
    """Gates the sums of the shares by their maxima: l2(g sum_t a_t).

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
        self.gates = NormalizedDense(
            num_clusters, add_batch_norm, dtype=self.dtype_policy, name="gates"
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

    def pool(self, frames, shares, training):
        """Returns the gated sums."""
        maxima = ops.cast(_normalised_maxima(shares), self.compute_dtype)
        logits = self.gates(
            ops.matmul(maxima, self.reduction), training=training
        )
        gates = ops.cast(ops.sigmoid(logits), "float32")
        return l2_normalize(gates * sum_shares(shares))

    def compute_output_shape(self, frames_shape, real_shape=None):
        """Returns `[batch, num_clusters]`."""
        return (frames_shape[0], self.num_clusters)

    def macs(self, num_frames: int) -> int:
        """Returns the MACs of one video of `num_frames` frames."""
        return super().macs(num_frames) + 2 * (self.gates.macs())


def _normalised_maxima(shares):
    return l2_normalize(ops.cast(ops.max(shares, axis=1), "float32"))


@keras.saving.register_keras_serializable("models")
class SoftDbofModel(LateFusion):
    """Pools every feature by Soft DBoF; later ones get an eighth of clusters.

    Args:
      classifier: Layer from `[batch, dim]` to `[batch, classes]`.
      feature_sizes: Width of every feature of a frame, in order.
      dbof_cluster_size: Clusters of the first feature.
      dbof_hidden_size: Width of the embedding.
      dbof_relu: Whether a batch norm and relu6 replace the hidden layer's
        bias.
      dbof_add_batch_norm: Whether there is any batch norm; biases take the
        place of those left out.
      softdbof_maxpool: Whether the maxima of the shares are pooled too.
      **kwargs: Further arguments of `LateFusion`.
    """

    def __init__(
        self,
        classifier: keras.layers.Layer,
        feature_sizes: tuple[int, ...],
        dbof_cluster_size: int = 8000,
        dbof_hidden_size: int = 1024,
        dbof_relu: bool = False,
        dbof_add_batch_norm: bool = True,
        softdbof_maxpool: bool = False,
        **kwargs,
    ):
        check_at_least(
            1,
            dbof_cluster_size=dbof_cluster_size,
            dbof_hidden_size=dbof_hidden_size,
        )
        super().__init__(
            classifier,
            feature_sizes,
            cluster_size=dbof_cluster_size,
            hidden_size=dbof_hidden_size,
            hidden_activation="relu6" if dbof_relu else None,
            add_batch_norm=dbof_add_batch_norm,
            **kwargs,
        )
        self.dbof_cluster_size = dbof_cluster_size
        self.dbof_hidden_size = dbof_hidden_size
        self.dbof_relu = dbof_relu
        self.dbof_add_batch_norm = dbof_add_batch_norm
        self.softdbof_maxpool = softdbof_maxpool
        shares = share_clusters(dbof_cluster_size, len(feature_sizes), 8)
        self.pools = [
            self._make_pool(index, num_clusters)
            for index, num_clusters in enumerate(shares)
        ]

    def _make_pool(self, index, num_clusters):
        return SoftDbof(
            num_clusters,
            self.dbof_add_batch_norm,
            self.softdbof_maxpool,
            dtype=self.dtype_policy,
            name=f"pool_{index}",
        )

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "dbof_cluster_size": self.dbof_cluster_size,
            "dbof_hidden_size": self.dbof_hidden_size,
            "dbof_relu": self.dbof_relu,
            "dbof_add_batch_norm": self.dbof_add_batch_norm,
            "softdbof_maxpool": self.softdbof_maxpool,
        }


@keras.saving.register_keras_serializable("models")
class GatedDbofModel(SoftDbofModel):
    """Pools the first feature by Gated DBoF, later ones by Soft DBoF.

    The arguments are those of `SoftDbofModel`; `softdbof_maxpool` acts on the
    later features alone.
    """

    def _make_pool(self, index, num_clusters):
        if index > 0:
            return super()._make_pool(index, num_clusters)
        return GatedDbof(
            num_clusters,
            self.dbof_add_batch_norm,
            dtype=self.dtype_policy,
            name=f"pool_{index}",
        )
