"""Deep bag of frames: frames projected to many values, pooled over time.

Abu-El-Haija et al., "YouTube-8M: a large-scale video classification
benchmark", 2016 (arXiv 1609.08675), section 4; as `DbofModel` of the
YouTube-8M starter code.
"""

import keras
from keras import ops

from distill.models.argument_checks import check_at_least, check_choice
from distill.models.frame_mask import average_frames, zero_padding
from distill.models.late_fusion import LateFusion
from distill.models.normalized_dense import NormalizedDense

POOLING_METHODS = ("average", "max")
ACTIVATIONS = ("relu6", "sigmoid")


@keras.saving.register_keras_serializable("models")
class Dbof(NormalizedDense):
    """Projects every frame, f(BN(x_t W)), and pools over the frames.

    Args:
      units: Number of clusters.
      add_batch_norm: Whether the projections are normalised over the batch's
        real frames; otherwise a bias is added.
      stddev: Standard deviation of the initial matrix; None takes one over
        the root of the number of features.
      pooling_method: `max` or `average`.
      activation: The function f: `relu6` or `sigmoid`.

    Call arguments:
      inputs: `[batch, frames, features]` floats.
      real: `[batch, frames]` booleans, frames that count; None lets all.
      training: Whether the batch's statistics are used.

    Returns:
      `[batch, units]` floats from 0 up, zeros for a video without frames.
    """

    def __init__(
        self,
        units: int,
        add_batch_norm: bool = True,
        stddev: float | None = None,
        pooling_method: str = "max",
        activation: str = "relu6",
        **kwargs,
    ):
        super().__init__(units, add_batch_norm, stddev, **kwargs)
        check_choice("pooling_method", pooling_method, POOLING_METHODS)
        check_choice("activation", activation, ACTIVATIONS)
        self.pooling_method = pooling_method
        self.activation = activation

    def call(self, inputs, real=None, training=False):
        """Returns the pooled projections."""
        projected = super().call(inputs, real, training)
        projected = keras.activations.get(self.activation)(projected)
        if self.pooling_method == "average":
            return average_frames(projected, real)
        return ops.max(zero_padding(projected, real), axis=1)

    def compute_output_shape(self, inputs_shape, real_shape=None):
        """Returns `[batch, units]`."""
        return (inputs_shape[0], self.units)

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "pooling_method": self.pooling_method,
            "activation": self.activation,
        }


@keras.saving.register_keras_serializable("models")
class DbofModel(LateFusion):
    """Pools whole frames, all features together, by one deep bag of frames.

    It is `LateFusion` of a single feature.

    Args:
      classifier: Layer from `[batch, dim]` to `[batch, classes]`.
      feature_sizes: Width of every feature of a frame; only their sum counts.
      dbof_cluster_size: Clusters, the values that every frame is projected to.
      dbof_hidden_size: Width of the embedding.
      dbof_pooling_method: `max` or `average`.
      dbof_activation: What projection and hidden layer end in: `relu6`, as in
        the starter code of 2017, or `sigmoid`, as in that of 2019.
      dbof_add_batch_norm: Whether there is any batch norm; biases take the
        place of those left out.
      sample_frames: Frames drawn of each video in training; 0 takes all.
      **kwargs: Further arguments of `LateFusion`.
    """

    def __init__(
        self,
        classifier: keras.layers.Layer,
        feature_sizes: tuple[int, ...],
        dbof_cluster_size: int = 8192,
        dbof_hidden_size: int = 1024,
        dbof_pooling_method: str = "max",
        dbof_activation: str = "relu6",
        dbof_add_batch_norm: bool = True,
        sample_frames: int = 30,
        **kwargs,
    ):
        check_at_least(
            1,
            dbof_cluster_size=dbof_cluster_size,
            dbof_hidden_size=dbof_hidden_size,
        )
        check_choice(
            "dbof_pooling_method", dbof_pooling_method, POOLING_METHODS
        )
        check_choice("dbof_activation", dbof_activation, ACTIVATIONS)
        super().__init__(
            classifier,
            (sum(feature_sizes),),
            cluster_size=dbof_cluster_size,
            hidden_size=dbof_hidden_size,
            hidden_activation=dbof_activation,
            add_batch_norm=dbof_add_batch_norm,
            sample_frames=sample_frames,
            **kwargs,
        )
        self.dbof_cluster_size = dbof_cluster_size
        self.dbof_hidden_size = dbof_hidden_size
        self.dbof_pooling_method = dbof_pooling_method
        self.dbof_activation = dbof_activation
        self.dbof_add_batch_norm = dbof_add_batch_norm
        self.pools = [
            Dbof(
                dbof_cluster_size,
                dbof_add_batch_norm,
                pooling_method=dbof_pooling_method,
                activation=dbof_activation,
                dtype=self.dtype_policy,
                name="pool_0",
            )
        ]

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {
            "dbof_cluster_size": self.dbof_cluster_size,
            "dbof_hidden_size": self.dbof_hidden_size,
            "dbof_pooling_method": self.dbof_pooling_method,
            "dbof_activation": self.dbof_activation,
            "dbof_add_batch_norm": self.dbof_add_batch_norm,
        }
