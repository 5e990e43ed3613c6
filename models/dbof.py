"""Deep bag of frames: frames projected to many values, pooled over time.

Abu-El-Haija et al., "YouTube-8M: a large-scale video classification
benchmark", 2016 (arXiv 1609.08675), section 4; as `DbofModel` of the
YouTube-8M starter code.
"""

import keras
from keras import ops

from distill.models.configs import DbofConfig
from distill.models.frame_mask import average_frames, zero_padding
from distill.models.late_fusion import LateFusion
from distill.models.normalized_dense import NormalizedDense


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
