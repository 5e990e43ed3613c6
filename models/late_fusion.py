"""Late fusion: every feature is pooled on its own, then all are joined.

Miech, Laptev and Sivic, "Learnable pooling with context gating for video
classification", 2017 (arXiv 1706.06905), figure 1.
"""

import keras

from distill.models.configs import PoolingConfig
from distill.models.feature_split import (
    build_readers,
    clusters_per_feature,
    read_features,
)
from distill.models.frame_mask import frame_mask, leave_out_padding
from distill.models.frame_sampling import SampleFrames
from distill.models.gating import ContextGating
from distill.models.normalized_dense import NormalizedDense
from distill.models.video_model import VideoModel


class LateFusion(VideoModel):
    """Base of the models that pool each feature by a layer of its own.

    Batch norm of the frames, one pooling layer for each feature, a hidden
    layer on all the pooled vectors (none without `fc_dimred`), a second one
    `hidden2_factor` times as wide (none for 0), context gating, classifier.
    The first feature has all clusters, later ones that number over
    `cluster_divisor`.

    Inputs and outputs are those of `VideoModel`; the embedding is the gated
    output of the last hidden layer, else of the pooling. Padding has an effect
    where `config.mask_padding` is False, as in the reference.
    """

    config: PoolingConfig
    cluster_divisor = 2

    def make_layers(self) -> None:
        """Makes the layers below the classifier."""
        if not self.feature_sizes or min(self.feature_sizes) < 1:
            raise ValueError(
                "feature_sizes must be one or more widths of 1 or more, got "
                f"{self.feature_sizes}."
            )
        config = self.config
        self.sampling = self.make_by_settings(SampleFrames, "sampling")
        self.normalise_inputs(config.norm_frames)
        self._make_hidden()
        self.context_gating = None
        if config.gating:
            self.context_gating = self.make(
                ContextGating,
                "context_gating",
                config.gating_remove_diag,
                add_batch_norm=config.add_batch_norm,
            )
        num_clusters = clusters_per_feature(
            config.cluster_size, len(self.feature_sizes), self.cluster_divisor
        )
        self.pools = [
            self.make_by_settings(
                self.pool_class(index), f"pool_{index}", number
            )
            for index, number in enumerate(num_clusters)
        ]

    def _make_hidden(self):
        config = self.config
        activated = config.hidden_activation is not None
        self.hidden = self.hidden2 = None
        if config.fc_dimred:
            self.hidden = self.make(
                NormalizedDense,
                "hidden",
                config.hidden_size,
                add_batch_norm=config.add_batch_norm and activated,
                stddev=config.cluster_size**-0.5,
            )
        if config.hidden2_factor:
            self.hidden2 = self.make(
                NormalizedDense,
                "hidden2",
                config.hidden2_factor * config.hidden_size,
                add_batch_norm=False,
            )

    def pool_class(self, index: int) -> type[keras.layers.Layer]:
        """Returns the class of feature `index`'s pooling layer.

        It takes the number of clusters, and settings by their names.
        """
        raise NotImplementedError

    def build(self, input_shape):
        """Builds all layers for `frames` `[batch, frames, features]`."""
        shape = (None, None, input_shape["frames"][-1])
        self.input_norm.build(shape)
        width = build_readers(self.pools, self.feature_sizes, shape)
        for hidden in self._hidden_layers():
            hidden.build((None, width))
            width = hidden.units
        if self.context_gating is not None:
            self.context_gating.build((None, width))
        self.classifier.build((None, width))

    def _hidden_layers(self):
        return [
            hidden
            for hidden in (self.hidden, self.hidden2)
            if hidden is not None
        ]

    def call(self, inputs, training=False):
        """Returns the embedding and the predictions."""
        frames, num_frames = self.sampling(
            inputs["frames"], inputs["num_frames"], training=training
        )
        real = None
        if self.config.mask_padding:
            if training:
                frames = leave_out_padding(frames, num_frames)
            real = frame_mask(frames, num_frames)
        if training:
            frames = self.input_norm.standardise(frames, real)
        else:
            frames = self.input_norm(frames, real)
        pooled = read_features(
            self.pools, self.feature_sizes, frames, real, training=training
        )
        hidden = pooled
        if self.hidden is not None:
            hidden = self.hidden(pooled, training=training)
            activation = keras.activations.get(self.config.hidden_activation)
            hidden = activation(hidden)
        if self.hidden2 is not None:
            hidden = self.hidden2(hidden, training=training)
        if self.context_gating is not None:
            hidden = self.context_gating(hidden, training=training)
        return self.classify(hidden, training)

    def macs(self, num_frames: int) -> int:
        """Returns the MACs of one video of `num_frames` frames."""
        num_read = self.sampling.num_read(num_frames)
        count = sum(pool.macs(num_read) for pool in self.pools)
        count += sum(hidden.macs() for hidden in self._hidden_layers())
        if self.context_gating is not None:
            count += self.context_gating.macs()
        return count + self.classifier.macs()
