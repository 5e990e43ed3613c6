"""NeXtVLAD: grouped soft assignment of frames to clusters, and its network.

Lin, Xiao and Fan, "NeXtVLAD: an efficient neural network to aggregate
frame-level features for large-scale video classification", ECCV workshops 2018
(arXiv 1811.05014).
"""

import keras
from keras import ops

from distill.models.configs import NeXtVladConfig
from distill.models.dense_stack import dense_macs
from distill.models.feature_split import (
    build_readers,
    clusters_per_feature,
    read_features,
)
from distill.models.frame_mask import (
    frame_mask,
    leave_out_padding,
    zero_padding,
)
from distill.models.gating import SqueezeExcitation
from distill.models.preprocessing import l2_normalize
from distill.models.soft_assignment import flatten_clusters
from distill.models.stored_arguments import StoredArguments
from distill.models.vector_product import VectorDense
from distill.models.video_model import VideoModel


@keras.saving.register_keras_serializable("distill.models")
class NeXtVlad(StoredArguments, keras.layers.Layer):
    """Pools the frames of one feature into residuals around clusters.

    Lin et al. 2018, equations 4 to 6: a frame is expanded linearly and cut
    into groups; each group has an attention, a sigmoid, and an assignment to
    the clusters, a softmax; the residuals of the groups around the clusters'
    centres are summed over frames and groups, L2-normalised for every cluster
    and batch-normalised as a whole.

    Args:
      clusters: Number of clusters.
      groups: Number of groups; divides the expanded width.
      expansion: Expanded width over the width of the input.

    Call arguments:
      frames: `[batch, frames, features]` floats.
      num_frames: int `[batch]`; frames at or beyond it have no effect.
      training: Whether batch statistics (of the real frames) are used.

    Returns:
      `[batch, expansion * features / groups * clusters]`, all the clusters'
      values of the first feature first.

    Raises:
      ValueError: `groups` do not divide the expanded width.
    """

    def __init__(self, clusters: int, groups: int, expansion: int, **kwargs):
        super().__init__(**kwargs)
        self.clusters = clusters
        self.groups = groups
        self.expansion = expansion
        self.attention = self.make(
            keras.layers.Dense, "attention", groups, activation="sigmoid"
        )
        self.assignment_norm = self.make(
            keras.layers.BatchNormalization, "assignment_norm"
        )
        self.norm = self.make(keras.layers.BatchNormalization, "norm")

    def build(self, frames_shape, num_frames_shape=None):
        """Creates the weights for `[batch, frames, features]`."""
        width = self.expansion * frames_shape[-1]
        if width % self.groups:
            raise ValueError(
                "nextvlad_groups must divide nextvlad_expansion * features "
                f"({self.expansion} * {frames_shape[-1]}), got {self.groups}."
            )
        group_width = width // self.groups
        self.expand = self.make(keras.layers.Dense, "expand", width)
        self.expand.build((None, None, frames_shape[-1]))
        self.attention.build((None, None, width))
        self.assignment_kernel = self.add_weight(
            name="assignment_kernel",
            shape=(width, self.groups * self.clusters),
            initializer="glorot_uniform",
        )
        self.assignment_norm.build((None, None, self.groups * self.clusters))
        self.centres = self.add_weight(
            name="centres",
            shape=(self.clusters, group_width),
            initializer="glorot_uniform",
        )
        self.norm.build((None, group_width * self.clusters))

    def call(self, frames, num_frames, training=False):
        """Returns the pooled vectors."""
        mask = frame_mask(frames, num_frames)
        expanded = self.expand(frames)
        weights = self._assign(expanded, mask, training)
        group_width = self.centres.shape[1]
        parts = ops.reshape(expanded, (-1, ops.shape(weights)[1], group_width))
        totals = ops.matmul(ops.transpose(weights, (0, 2, 1)), parts)
        masses = ops.sum(weights, axis=1)[:, :, None]
        residuals = l2_normalize(totals - masses * self.centres)
        return self.norm(flatten_clusters(residuals), training=training)

    def _assign(self, expanded, mask, training):
        """Returns `[batch, frames * groups, clusters]`, 0 for padding."""
        scores = ops.matmul(expanded, self.assignment_kernel)
        scores = self.assignment_norm(scores, mask=mask, training=training)
        length = ops.shape(expanded)[1]
        weights = ops.softmax(
            ops.reshape(scores, (-1, length * self.groups, self.clusters))
        )
        attention = zero_padding(self.attention(expanded), mask)
        return weights * ops.reshape(attention, (-1, length * self.groups, 1))

    def compute_output_shape(self, frames_shape, num_frames_shape=None):
        """Returns `[batch, expansion * features / groups * clusters]`."""
        width = self.expansion * frames_shape[-1] // self.groups
        return (frames_shape[0], width * self.clusters)

    def macs(self, num_frames: int) -> int:
        """Returns the MACs of one video of `num_frames` frames."""
        rows, columns = self.assignment_kernel.shape
        per_frame = (
            dense_macs(self.expand)
            + dense_macs(self.attention)
            + rows * columns
            + rows * self.clusters
        )
        return num_frames * per_frame


@keras.saving.register_keras_serializable("distill.models")
class NeXtVladModel(VideoModel):
    """Classifies a video by NeXtVLADs of its features.

    The first feature has all the clusters and groups; each later one has half
    of them, 1 at least. Dropout acts on the pooled values. The embedding is
    `[batch, hidden_size]`.
    """

    config: NeXtVladConfig

    def make_layers(self) -> None:
        """Makes the layers below the classifier."""
        config = self.config
        sizes = [
            clusters_per_feature(size, len(self.feature_sizes), 2)
            for size in (config.cluster_size, config.groups)
        ]
        self.vlads = [
            self.make(
                NeXtVlad, f"vlad_{index}", clusters, groups, config.expansion
            )
            for index, (clusters, groups) in enumerate(zip(*sizes, strict=True))
        ]
        self.drop = self.make(keras.layers.Dropout, "drop", config.dropout)
        self.hidden = self.make(
            VectorDense, "hidden", config.hidden_size, use_bias=False
        )
        self.hidden_norm = self.make(
            keras.layers.BatchNormalization, "hidden_norm"
        )
        self.gating = self.make(
            SqueezeExcitation, "gating", config.gating_reduction
        )

    def build(self, input_shape):
        """Builds all layers for `frames` `[batch, frames, features]`."""
        shape = (None, None, input_shape["frames"][-1])
        width = build_readers(self.vlads, self.feature_sizes, shape)
        hidden_shape = (None, self.config.hidden_size)
        self.hidden.build((None, width))
        self.hidden_norm.build(hidden_shape)
        self.gating.build(hidden_shape)
        self.classifier.build(hidden_shape)

    def call(self, inputs, training=False):
        """Returns the embedding and the predictions."""
        frames = inputs["frames"]
        num_frames = ops.cast(inputs["num_frames"], "int32")
        if training:
            frames = leave_out_padding(frames, num_frames)
        pooled = read_features(
            self.vlads,
            self.feature_sizes,
            frames,
            num_frames,
            training=training,
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
