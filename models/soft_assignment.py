"""Soft assignment of frames to clusters, the base of pooling by it.

Arandjelovic et al., "NetVLAD", CVPR 2016, equation 3; with a batch norm in
place of the bias, Miech, Laptev and Sivic 2017 (arXiv 1706.06905).
"""

import keras
from keras import ops

from distill.models.frame_mask import zero_padding
from distill.models.normalized_dense import NormalizedDense
from distill.models.scaled_frames import ScaledFrames
from distill.models.stored_arguments import StoredArguments


@keras.saving.register_keras_serializable("distill.models")
class SoftAssignment(NormalizedDense):
    """Assigns every frame to clusters: a_t = softmax(BN(x_t W)).

    The arguments and call arguments are those of `NormalizedDense`; `units` is
    the number of clusters.

    Returns:
      `[batch, frames, units]` floats: a real frame's assignments sum to 1,
      those of padding are 0.
    """

    def call(self, inputs, real=None, training=False):
        """Returns the assignments."""
        logits = super().call(inputs, real, training)
        if self.units == 1:
            # Keras warns of a softmax over one value.
            return zero_padding(1 + 0 * logits, real)
        return zero_padding(ops.softmax(logits, axis=-1), real)


class ClusterPooling(StoredArguments, keras.layers.Layer):
    """Base of the layers that pool frames by their assignments to clusters.

    Args:
      num_clusters: Number of clusters.
      add_batch_norm: Whether the assignment's logits are normalised over the
        batch's real frames; otherwise a bias is added.

    Call arguments:
      frames: `[batch, frames, features]` floats.
      real: `[batch, frames]` booleans, the real frames; None: all.
      training: Whether the batch's statistics are used.

    Returns:
      `[batch, dim]` floats, zeros for a video without frames.
    """

    def __init__(
        self, num_clusters: int, add_batch_norm: bool = True, **kwargs
    ):
        super().__init__(**kwargs)
        self.num_clusters = num_clusters
        self.add_batch_norm = add_batch_norm
        self.assignment = self.make(
            SoftAssignment, "assignment", num_clusters, add_batch_norm
        )

    def build(self, frames_shape, real_shape=None):
        """Builds the assignment for `[batch, frames, features]`."""
        self.assignment.build(tuple(frames_shape))

    def add_cluster_weight(self, name: str, features: int, mean: float = 0.0):
        """Returns a new float32 weight `[features, num_clusters]`."""
        return self.add_weight(
            name=name,
            shape=(features, self.num_clusters),
            initializer=keras.initializers.RandomNormal(mean, features**-0.5),
            autocast=False,
        )

    def call(self, frames, real=None, training=False):
        """Returns the pooled frames."""
        assigned = self.assignment(frames, real, training=training)
        pooled = self.pool(frames, assigned, training)
        return ops.cast(pooled, self.compute_dtype)

    def pool(self, frames, assigned, training):
        """Returns `[batch, dim]` by assignments `[batch, frames, clusters]`."""
        raise NotImplementedError

    def macs(self, num_frames: int) -> int:
        """Returns the MACs of one video of `num_frames` frames."""
        return self.assignment.macs(num_frames)


def sum_by_cluster(frames, assigned):
    """Returns sum_t a_tk x_t as float32 `[batch, clusters, features]`."""
    if not isinstance(frames, ScaledFrames):
        return ops.cast(
            ops.matmul(ops.swapaxes(assigned, 1, 2), frames), "float32"
        )
    scale, offset = (ops.cast(each, "float32") for each in frames[1:])
    totals = sum_assignments(assigned)[:, :, None]
    return sum_by_cluster(frames.values, assigned) * scale + totals * offset


def sum_assignments(assigned):
    """Returns sum_t a_tk as float32 `[batch, clusters]`."""
    return ops.sum(ops.cast(assigned, "float32"), axis=1)


def flatten_clusters(values):
    """Flattens `[batch, clusters, features]`, the features outermost."""
    _, clusters, features = values.shape
    return ops.reshape(ops.swapaxes(values, 1, 2), (-1, features * clusters))
