"""Deep bag of frames: frames projected to many values, pooled over time.

Abu-El-Haija et al., "YouTube-8M: a large-scale video classification
benchmark", 2016 (arXiv 1609.08675), section 4; as `DbofModel` of the
YouTube-8M starter code.
"""

import keras
from keras import ops

from distill.models.configs import DbofConfig, DbofLfConfig
from distill.models.frame_mask import (
    average_frames,
    maximum_over_frames,
    zero_padding,
)
from distill.models.late_fusion import LateFusion
from distill.models.normalized_dense import NormalizedDense
from distill.models.preprocessing import l2_normalize


@keras.saving.register_keras_serializable("distill.models")
class Dbof(NormalizedDense):
    """Projects every frame, f(BN(x_t W)), and pools over the frames.

    `pooling_method` and `activation` (f) are those of `DbofConfig`, the other
    arguments and the call arguments those of `NormalizedDense`; `units` is the
    number of clusters.

    Returns:
      `[batch, units]` floats from 0 up, zeros for a video without frames.
    """

    def __init__(
        self,
        units: int,
        *,
        pooling_method: str = "max",
        activation: str = "relu6",
        **kwargs,
    ):
        super().__init__(units, **kwargs)
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


@keras.saving.register_keras_serializable("distill.models")
class DbofModel(LateFusion):
    """Pools whole frames, all features together, by one deep bag of frames.

    It is `LateFusion` of a single feature; only the sum of `feature_sizes`
    counts.
    """

    config: DbofConfig

    def make_layers(self) -> None:
        """Makes the layers of a single feature."""
        self.feature_sizes = (sum(self.feature_sizes),)
        super().make_layers()

    def pool_class(self, index: int) -> type[keras.layers.Layer]:
        """Returns the deep bag of frames."""
        return Dbof


@keras.saving.register_keras_serializable("distill.models")
class MeanMaxDbof(NormalizedDense):
    """Projects every frame, f(BN(x_t W)), and joins its mean and maximum.

    Both are divided by their norms. `activation` (f) is that of
    `DbofLfConfig`; glu gates one half of the projection by the other. The
    other arguments and the call arguments are those of `NormalizedDense`;
    `num_clusters` is the number of values after f.

    Returns:
      `[batch, 2 * num_clusters]` floats: the mean, then the maximum; zeros
      for a video without frames.
    """

    def __init__(self, num_clusters: int, activation: str, **kwargs):
        kwargs.pop("units", None)
        doubled = 1 + (activation == "glu")
        super().__init__(doubled * num_clusters, **kwargs)
        self.num_clusters = num_clusters
        self.activation = activation

    def call(self, inputs, real=None, training=False):
        """Returns the pooled projections."""
        values = self._activate(super().call(inputs, real, training))
        pooled = [
            average_frames(values, real),
            maximum_over_frames(values, real),
        ]
        pooled = [l2_normalize(ops.cast(each, "float32")) for each in pooled]
        return ops.cast(ops.concatenate(pooled, axis=-1), self.compute_dtype)

    def _activate(self, values):
        if self.activation == "glu":
            passed, gates = ops.split(values, 2, axis=-1)
            return passed * ops.sigmoid(gates)
        return ops.relu6(values) if self.activation == "relu6" else values

    def compute_output_shape(self, inputs_shape, real_shape=None):
        """Returns `[batch, 2 * num_clusters]`."""
        return (inputs_shape[0], 2 * self.num_clusters)


@keras.saving.register_keras_serializable("distill.models")
class DbofLfModel(LateFusion):
    """Pools every feature by means and maxima of a deep bag of frames.

    `DbofModelLF` of Miech, Laptev and Sivic 2017 (the WILLOW code), which
    never applies its activation: here that is `activation` none. Later
    features have an eighth of the clusters.
    """

    config: DbofLfConfig
    cluster_divisor = 8

    def pool_class(self, index: int) -> type[keras.layers.Layer]:
        """Returns the means and maxima of a deep bag of frames."""
        return MeanMaxDbof
