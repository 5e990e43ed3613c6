"""Late fusion: every feature is pooled on its own, then all are joined.

Miech, Laptev and Sivic, "Learnable pooling with context gating for video
classification", 2017 (arXiv 1706.06905), figure 1.
"""

import keras
from keras import ops

from distill.models.argument_checks import check_at_least
from distill.models.context_gating import ContextGating
from distill.models.feature_split import check_feature_sizes, split_features
from distill.models.frame_mask import frame_mask
from distill.models.frame_sampling import SampleFrames
from distill.models.normalized_dense import NormalizedDense
from distill.models.video_model import VideoModel


class LateFusion(VideoModel):
    """Base of the models that pool each feature by a layer of its own.

    Batch norm of the frames, one pooling layer for each feature, one hidden
    layer on all the pooled vectors, context gating, classifier. A subclass
    calls this constructor, then sets `pools`: one layer for each feature.

    Args:
      classifier: Layer from `[batch, dim]` to `[batch, classes]`.
      feature_sizes: Width of every feature of a frame, in order.
      cluster_size: Clusters of the first feature, which scale the hidden
        layer's initial weights.
      hidden_size: Width of the hidden layer.
      hidden_activation: Keras's name of what the hidden layer ends in, after
        a batch norm that takes the place of its bias; None leaves the bias.
      add_batch_norm: Whether there is any batch norm in front of the
        classifier; biases take the place of those left out.
      gating: Whether the hidden layer passes a context gating.
      gating_remove_diag: Whether no entry has a say in its own gate.
      sample_frames: Frames drawn of each video in training; 0 takes all.
      sample_random_frames: Whether they are drawn one by one; otherwise they
        are a run of consecutive frames.
      sample_at_evaluation: Whether frames are drawn outside training too.
      mask_padding: Whether padding is left out of the pooling and of batch
        statistics; False takes every frame given, as the reference does.

    Call arguments:
      inputs: Dict of `frames` `[batch, frames, features]` floats and
        `num_frames` `[batch]` ints. What lies at or beyond `num_frames` has
        no effect, unless `mask_padding` is False.
      training: Whether frames are drawn and batch statistics are used.

    Returns:
      Dict of `embedding` `[batch, hidden_size]`, what the classifier reads,
      and `predictions` `[batch, classes]` in [0, 1].

    Raises:
      ValueError: A size is too small, or the features' widths do not sum to
        a frame's width.
    """

    def __init__(
        self,
        classifier: keras.layers.Layer,
        feature_sizes: tuple[int, ...],
        *,
        cluster_size: int,
        hidden_size: int,
        hidden_activation: str | None,
        add_batch_norm: bool = True,
        gating: bool = False,
        gating_remove_diag: bool = False,
        sample_frames: int = 0,
        sample_random_frames: bool = True,
        sample_at_evaluation: bool = False,
        mask_padding: bool = True,
        **kwargs,
    ):
        super().__init__(classifier, **kwargs)
        if not feature_sizes or min(feature_sizes) < 1:
            raise ValueError(
                "feature_sizes must be one or more widths of 1 or more, got "
                f"{tuple(feature_sizes)}."
            )
        check_at_least(0, sample_frames=sample_frames)
        self.feature_sizes = tuple(feature_sizes)
        self.cluster_size = cluster_size
        self.hidden_size = hidden_size
        self.hidden_activation = hidden_activation
        self.add_batch_norm = add_batch_norm
        self.gating = gating
        self.gating_remove_diag = gating_remove_diag
        self.sample_frames = sample_frames
        self.sample_random_frames = sample_random_frames
        self.sample_at_evaluation = sample_at_evaluation
        self.mask_padding = mask_padding
        self.pools = []
        self._make_layers()

    def _make_layers(self):
        """Makes all layers but the pools."""
        policy = self.dtype_policy
        self.sampling = SampleFrames(
            self.sample_frames,
            self.sample_random_frames,
            self.sample_at_evaluation,
            dtype=policy,
            name="sampling",
        )
        self.input_norm = self.context_gating = None
        if self.add_batch_norm:
            self.input_norm = keras.layers.BatchNormalization(
                epsilon=1e-3, dtype=policy, name="input_norm"
            )
        activated = self.hidden_activation is not None
        self.hidden = NormalizedDense(
            self.hidden_size,
            add_batch_norm=self.add_batch_norm and activated,
            stddev=self.cluster_size**-0.5,
            dtype=policy,
            name="hidden",
        )
        if self.gating:
            self.context_gating = ContextGating(
                self.gating_remove_diag,
                self.add_batch_norm,
                dtype=policy,
                name="context_gating",
            )

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
            self.context_gating.build((None, self.hidden_size))
        self.classifier.build((None, self.hidden_size))
        self.built = True

    def call(self, inputs, training=False):
        """Returns the embedding and the predictions."""
        frames, num_frames = self.sampling(
            inputs["frames"], inputs["num_frames"], training=training
        )
        real = frame_mask(frames, num_frames) if self.mask_padding else None
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
        hidden = keras.activations.get(self.hidden_activation)(hidden)
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

    def get_config(self):
        """Returns the arguments that every such model takes."""
        return super().get_config() | {
            "feature_sizes": list(self.feature_sizes),
            "gating": self.gating,
            "gating_remove_diag": self.gating_remove_diag,
            "sample_frames": self.sample_frames,
            "sample_random_frames": self.sample_random_frames,
            "sample_at_evaluation": self.sample_at_evaluation,
            "mask_padding": self.mask_padding,
        }


def share_clusters(
    num_clusters: int, num_features: int, divisor: int
) -> list[int]:
    """Returns the clusters of every feature.

    The first feature has all `num_clusters`, every later one that number over
    `divisor`, rounded down and at least 1.
    """
    later = max(1, num_clusters // divisor)
    return [num_clusters] + [later] * (num_features - 1)
