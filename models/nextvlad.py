"""NeXtVLAD: grouped soft assignment of frames to clusters.

Lin, Xiao and Fan, "NeXtVLAD: an efficient neural network to aggregate
frame-level features for large-scale video classification", ECCV workshops 2018
(arXiv 1811.05014).
"""

import keras
from keras import ops

from distill.models.argument_checks import check_at_least
from distill.models.dense_stack import dense_macs
from distill.models.frame_mask import frame_mask
from distill.models.preprocessing import l2_normalize


@keras.saving.register_keras_serializable("models")
class NeXtVlad(keras.layers.Layer):
    """Pools the frames of one feature into residuals around clusters.

    Lin et al. 2018, equations 4 to 6: a frame is expanded linearly and cut
    into groups; each group has an attention, a sigmoid, and an assignment to
    the clusters, a softmax; what is left of a group's part beside the clusters'
    centres is summed over frames and groups, L2-normalised for every cluster
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
      ValueError: A size is less than 1 or `groups` do not divide the width.
    """

    def __init__(self, clusters: int, groups: int, expansion: int, **kwargs):
        super().__init__(**kwargs)
        check_at_least(
            1,
            nextvlad_cluster_size=clusters,
            nextvlad_groups=groups,
            nextvlad_expansion=expansion,
        )
        self.clusters = clusters
        self.groups = groups
        self.expansion = expansion
        policy = self.dtype_policy
        self.attention = keras.layers.Dense(
            groups, activation="sigmoid", dtype=policy, name="attention"
        )
        self.assignment_norm = keras.layers.BatchNormalization(
            epsilon=1e-3, dtype=policy, name="assignment_norm"
        )
        self.norm = keras.layers.BatchNormalization(
            epsilon=1e-3, dtype=policy, name="norm"
        )

    def build(self, frames_shape, num_frames_shape=None):
        """Creates the weights for `[batch, frames, features]`."""
        width = self.expansion * frames_shape[-1]
        if width % self.groups:
            raise ValueError(
                "nextvlad_groups must divide nextvlad_expansion * features "
                f"({self.expansion} * {frames_shape[-1]}), got {self.groups}."
            )
        group_width = width // self.groups
        self.expand = keras.layers.Dense(
            width, dtype=self.dtype_policy, name="expand"
        )
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
        clusters, group_width = self.centres.shape
        parts = ops.reshape(expanded, (-1, ops.shape(weights)[1], group_width))
        totals = ops.matmul(ops.transpose(weights, (0, 2, 1)), parts)
        masses = ops.sum(weights, axis=1)[:, :, None]
        residuals = l2_normalize(totals - masses * self.centres)
        flat = ops.reshape(
            ops.transpose(residuals, (0, 2, 1)), (-1, group_width * clusters)
        )
        return self.norm(flat, training=training)

    def _assign(self, expanded, mask, training):
        """Returns `[batch, frames * groups, clusters]`, 0 for padding."""
        scores = ops.matmul(expanded, self.assignment_kernel)
        scores = self.assignment_norm(scores, mask=mask, training=training)
        length = ops.shape(expanded)[1]
        shares = ops.softmax(
            ops.reshape(scores, (-1, length * self.groups, self.clusters))
        )
        attention = self.attention(expanded)
        attention = ops.where(
            mask[:, :, None], attention, ops.zeros_like(attention)
        )
        return shares * ops.reshape(attention, (-1, length * self.groups, 1))

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

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "clusters": self.clusters,
            "groups": self.groups,
            "expansion": self.expansion,
        }
