"""Late fusion: every feature is pooled on its own, then all are joined.

Miech, Laptev and Sivic, "Learnable pooling with context gating for video
classification", 2017 (arXiv 1706.06905), figure 1.
"""

import keras
from keras import ops

from distill.models.configs import PoolingConfig
from distill.models.feature_split import (
    check_feature_sizes,
    clusters_per_feature,
    split_features,
)
from distill.models.frame_mask import frame_mask
from distill.models.frame_sampling import SampleFrames
from distill.models.gating import ContextGating
from distill.models.normalized_dense import NormalizedDense
from distill.models.video_model import VideoModel


class LateFusion(VideoModel):
    """Base of the models that pool each feature by a layer of its own.

    Batch norm of the frames, one pooling layer for each feature, one hidden
    layer on all the pooled vectors, context gating, classifier. The first
    feature has all clusters, later ones that number over `cluster_divisor`.

    Inputs and outputs are those of `VideoModel`; the embedding is `[batch,
    hidden_size]`. Padding has an effect where `config.mask_padding` is False,
    as in the reference.

    Raises:
      ValueError: A feature's width is below 1, or the widths do not sum to a
        frame's width.
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
        self.sampling = self.make(
            SampleFrames,
            "sampling",
            config.sample_frames,
            config.sample_random_frames,
            config.sample_at_evaluation,
        )
        self.input_norm = self.context_gating = None
        if config.add_batch_norm:
            self.input_norm = self.make(
                keras.layers.BatchNormalization, "input_norm"
            )
        activated = config.hidden_activation is not None
        self.hidden = self.make(
            NormalizedDense,
            "hidden",
            config.hidden_size,
            add_batch_norm=config.add_batch_norm and activated,
            stddev=config.cluster_size**-0.5,
        )
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
            self.make(self.make_pool, f"pool_{index}", index, number)
            for index, number in enumerate(num_clusters)
        ]

    def make_pool(
        self, index: int, num_clusters: int, **kwargs
    ) -> keras.layers.Layer:
        """Returns the pooling layer of feature `index`."""
        raise NotImplementedError

    def build(self, input_shape):
        """Builds all layers for `frames` `[batch, frames, features]`."""
        features = input_shape["frames"][-1]
        check_feature_sizes(self.feature_sizes, features)
        if self.input_norm is not None:
            self.input_norm.build((None, None, features))
        pooled_size = 0
        for pool, size in zip(self.pools, self.feature_sizes, strict=True):
            pool.build((None, None, size))
            pooled_size += pool.compute_output_shape((None, None, size))[-1]
        self.hidden.build((None, pooled_size))
        if self.context_gating is not None:
            self.context_gating.build((None, self.config.hidden_size))
        self.classifier.build((None, self.config.hidden_size))

    def call(self, inputs, training=False):
        """Returns the embedding and the predictions."""
        frames, num_frames = self.sampling(
            inputs["frames"], inputs["num_frames"], training=training
        )
        real = None
        if self.config.mask_padding:
            real = frame_mask(frames, num_frames)
        if self.input_norm is not None:
            frames = self.input_norm(frames, mask=real, training=training)
        features = split_features(frames, self.feature_sizes)
        pooled = [
            pool(feature, real, training=training)
            for pool, feature in zip(self.pools, features, strict=True)
        ]
        hidden = self.hidden(
            ops.concatenate(pooled, axis=-1), training=training
        )
        activation = keras.activations.get(self.config.hidden_activation)
        hidden = activation(hidden)
        if self.context_gating is not None:
            hidden = self.context_gating(hidden, training=training)
        return self.classify(hidden, training)

    def macs(self, num_frames: int) -> int:
        """Returns the MACs of one video of `num_frames` frames."""
        num_read = self.sampling.num_read(num_frames)
        count = sum(pool.macs(num_read) for pool in self.pools)
        count += self.hidden.macs()
        if self.context_gating is not None:
            count += self.context_gating.macs()
        return count + self.classifier.macs()
