"""The NeXtVLAD network: one NeXtVLAD per feature, gating, a classifier.

Lin, Xiao and Fan, "NeXtVLAD: an efficient neural network to aggregate
frame-level features for large-scale video classification", ECCV workshops 2018
(arXiv 1811.05014).
"""

import keras
from keras import ops

from distill.models.argument_checks import check_at_least
from distill.models.dense_stack import dense_macs
from distill.models.feature_split import check_feature_sizes, split_features
from distill.models.late_fusion import share_clusters
from distill.models.nextvlad import NeXtVlad
from distill.models.squeeze_excitation import SqueezeExcitation
from distill.models.video_model import VideoModel


@keras.saving.register_keras_serializable("models")
class NeXtVladModel(VideoModel):
    """Classifies a video by NeXtVLADs of its features.

    The first feature has all the clusters and groups; each later one has half
    of them, 1 at least.

    Args:
      classifier: Layer from `[batch, dim]` to `[batch, classes]`.
      feature_sizes: Width of every feature of a frame, in order.
      nextvlad_cluster_size: Clusters of the first feature.
      nextvlad_groups: Groups of the first feature.
      nextvlad_expansion: Expanded width over the width of a feature.
      nextvlad_hidden_size: Width of the embedding.
      gating_reduction: How many times narrower the gating's middle layer is.
      dropout: Share of the pooled values dropped in training.

    Call arguments:
      inputs: Dict of `frames` `[batch, frames, sum(feature_sizes)]` floats
        and `num_frames` `[batch]` ints. What lies at or beyond `num_frames`
        has no effect.
      training: Whether dropout applies and batch statistics are used.

    Returns:
      Dict of `embedding` `[batch, nextvlad_hidden_size]` and `predictions`
      `[batch, classes]` in [0, 1].

    Raises:
      ValueError: Sizes are less than 1 or do not fit one another.
    """

    def __init__(
        self,
        classifier: keras.layers.Layer,
        feature_sizes: tuple[int, ...],
        nextvlad_cluster_size: int = 128,
        nextvlad_groups: int = 8,
        nextvlad_expansion: int = 2,
        nextvlad_hidden_size: int = 2048,
        gating_reduction: int = 8,
        dropout: float = 0.5,
        **kwargs,
    ):
        super().__init__(classifier, **kwargs)
        check_at_least(1, nextvlad_hidden_size=nextvlad_hidden_size)
        self.feature_sizes = tuple(feature_sizes)
        self.nextvlad_cluster_size = nextvlad_cluster_size
        self.nextvlad_groups = nextvlad_groups
        self.nextvlad_expansion = nextvlad_expansion
        self.nextvlad_hidden_size = nextvlad_hidden_size
        self.gating_reduction = gating_reduction
        self.dropout = dropout
        policy = self.dtype_policy
        self.vlads = self._make_vlads()
        self.drop = keras.layers.Dropout(dropout, dtype=policy, name="drop")
        self.hidden = keras.layers.Dense(
            nextvlad_hidden_size, use_bias=False, dtype=policy, name="hidden"
        )
        self.hidden_norm = keras.layers.BatchNormalization(
            epsilon=1e-3, dtype=policy, name="hidden_norm"
        )
        self.gating = SqueezeExcitation(
            gating_reduction, dtype=policy, name="gating"
        )

    def _make_vlads(self):
        """Returns a pooling layer for every feature."""
        num_features = len(self.feature_sizes)
        clusters = share_clusters(self.nextvlad_cluster_size, num_features, 2)
        groups = share_clusters(self.nextvlad_groups, num_features, 2)
        return [
            NeXtVlad(
                clusters[index],
                groups[index],
                self.nextvlad_expansion,
                dtype=self.dtype_policy,
                name=f"vlad_{index}",
            )
            for index in range(num_features)
        ]

    def build(self, input_shape):
        """Builds all layers for `frames` `[batch, frames, features]`."""
        check_feature_sizes(self.feature_sizes, input_shape["frames"][-1])
        width = 0
        for vlad, size in zip(self.vlads, self.feature_sizes, strict=True):
            shape = (None, None, size)
            vlad.build(shape)
            width += vlad.compute_output_shape(shape)[-1]
        hidden_shape = (None, self.nextvlad_hidden_size)
        self.hidden.build((None, width))
        self.hidden_norm.build(hidden_shape)
        self.gating.build(hidden_shape)
        self.classifier.build(hidden_shape)
        self.built = True

    def call(self, inputs, training=False):
        """Returns the embedding and the predictions."""
        num_frames = ops.cast(inputs["num_frames"], "int32")
        features = split_features(inputs["frames"], self.feature_sizes)
        pooled = ops.concatenate(
            [
                vlad(feature, num_frames, training=training)
                for vlad, feature in zip(self.vlads, features, strict=True)
            ],
            axis=-1,
        )
        hidden = self.hidden(self.drop(pooled, training=training))
        hidden = self.hidden_norm(hidden, training=training)
        embedding = self.gating(hidden, training=training)
        return self.classify(embedding, training)

    def macs(self, num_frames: int) -> int:
        """Returns the MACs of one video of `num_frames` frames."""
        pooling = sum(vlad.macs(num_frames) for vlad in self.vlads)
        return (
            pooling
            + dense_macs(self.hidden)
            + self.gating.macs()
            + self.classifier.macs()
        )

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "feature_sizes": list(self.feature_sizes),
            "nextvlad_cluster_size": self.nextvlad_cluster_size,
            "nextvlad_groups": self.nextvlad_groups,
            "nextvlad_expansion": self.nextvlad_expansion,
            "nextvlad_hidden_size": self.nextvlad_hidden_size,
            "gating_reduction": self.gating_reduction,
            "dropout": self.dropout,
        }
