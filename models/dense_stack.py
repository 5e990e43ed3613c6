"""Dense layers with ReLU, one after another, and a stack for every feature.

Batch normalisation: Ioffe and Szegedy, "Batch normalization: accelerating deep
network training by reducing internal covariate shift", ICML 2015.
"""

import itertools
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from distill.models.argument_checks import parse_sizes
from distill.models.feature_split import build_readers, read_features
from distill.models.stored_arguments import StoredArguments
from distill.models.vector_product import VectorDense
from distill.models.video_model import VideoModel


def dense_macs(dense: keras.layers.Dense) -> int:
    """Returns the MACs of a built dense layer on one vector."""
    rows, columns = dense.kernel.shape
    return rows * columns


class DenseLayers(StoredArguments, keras.layers.Layer):
    """Base of the layers that pass a vector through dense layers in turn.

    Args:
      sizes: Width of every layer, one or more.
    """

    denses: list[keras.layers.Dense]
    norms: Sequence[keras.layers.BatchNormalization] = ()

    def __init__(self, sizes: Sequence[int], **kwargs):
        super().__init__(**kwargs)
        self.sizes = list(sizes)

    def build(self, input_shape):
        """Builds the layers for `[..., dim]`."""
        width = input_shape[-1]
        for dense, norm in itertools.zip_longest(self.denses, self.norms):
            dense.build((None, width))
            width = dense.units
            if norm is not None:
                norm.build((None, width))

    def compute_output_shape(self, input_shape):
        """Returns `[..., sizes[-1]]`."""
        return (*input_shape[:-1], self.sizes[-1])

    def macs(self) -> int:
        """Returns the MACs of one vector."""
        return sum(dense_macs(dense) for dense in self.denses)


@keras.saving.register_keras_serializable("distill.models")
class DenseStack(DenseLayers):
    """Dense layers with ReLU; dropout between them.

    Args:
      sizes: Width of every layer, one or more.
      dropout: Dropout rate between the layers in training; none after the
        last.
      batch_norm: Whether every layer's sums are normalised over the batch
        before the ReLU; the normalisation's offset then replaces the bias.

    Call arguments:
      inputs: `[batch, dim]` floats.
      training: Whether dropout applies and batch statistics are used.

    Returns:
      `[batch, sizes[-1]]` floats of 0 or more.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        dropout: float = 0.0,
        batch_norm: bool = False,
        **kwargs,
    ):
        super().__init__(sizes, **kwargs)
        self.dropout = dropout
        self.batch_norm = batch_norm
        self.denses = [
            self.make(
                VectorDense,
                f"dense_{index}",
                size,
                use_bias=not batch_norm,
                kernel_initializer="he_normal",
            )
            for index, size in enumerate(self.sizes)
        ]
        self.norms = [
            self.make(keras.layers.BatchNormalization, f"norm_{index}")
            for index in range(len(self.sizes) if batch_norm else 0)
        ]
        self.drops = [
            self.make(keras.layers.Dropout, f"drop_{index}", dropout)
            for index in range(1, len(self.sizes))
        ]

    def call(self, inputs, training=False):
        """Returns the last layer's output."""
        outputs = inputs
        for index, dense in enumerate(self.denses):
            if index > 0:
                outputs = self.drops[index - 1](outputs, training=training)
            outputs = dense(outputs)
            if self.batch_norm:
                outputs = self.norms[index](outputs, training=training)
            outputs = ops.relu(outputs)
        return outputs


@keras.saving.register_keras_serializable("distill.models")
class PerFeature(StoredArguments, keras.layers.Layer):
    """Cuts its input into the features and reads each by a layer of its own.

    Args:
      feature_sizes: Width of every feature, in order.
      readers: A layer with a method `macs` for every feature.

    Attributes:
      width: Width of the readers' outputs end to end, once it is built.

    Call arguments:
      inputs: `[batch, (frames,) sum(feature_sizes)]` floats.
      num_frames: int32 `[batch]`, for readers of frames.
      training: Passed on to the readers.

    Returns:
      `[batch, width]`.

    Raises:
      ValueError: `feature_sizes` do not fit the input.
    """

    def __init__(
        self,
        feature_sizes: Sequence[int],
        readers: list[keras.layers.Layer],
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.feature_sizes = list(feature_sizes)
        self.readers = list(readers)

    def build(self, inputs_shape, num_frames_shape=None):
        """Builds the readers for `[batch, (frames,) features]`."""
        self.width = build_readers(
            self.readers, self.feature_sizes, inputs_shape
        )

    def call(self, inputs, num_frames=None, training=False):
        """Returns the readers' outputs."""
        args = () if num_frames is None else (num_frames,)
        return read_features(
            self.readers, self.feature_sizes, inputs, *args, training=training
        )

    def macs(self, *num_frames: int) -> int:
        """Returns the MACs of one video, of `num_frames` if it is frames."""
        return sum(reader.macs(*num_frames) for reader in self.readers)


def make_hidden(
    model: VideoModel, dropout: float, batch_norm: bool = False
) -> DenseStack:
    """Returns a model's dense layers before the classifier."""
    config: Any = model.config
    sizes = parse_sizes("hidden_sizes", config.hidden_sizes)
    return model.make(DenseStack, "hidden", sizes, dropout, batch_norm)


def make_towers(
    model: VideoModel, dropout: float, last_sizes: Sequence[int] = ()
) -> PerFeature:
    """Returns a tower, a `DenseStack`, for every feature of a model.

    `last_sizes` are the widths of its layers after those of `tower_sizes`.
    """
    config: Any = model.config
    sizes = [*parse_sizes("tower_sizes", config.tower_sizes), *last_sizes]
    towers = [
        model.make(DenseStack, f"tower_{i}", sizes, dropout, config.batch_norm)
        for i in range(len(model.feature_sizes))
    ]
    return model.make(PerFeature, "towers", model.feature_sizes, towers)
