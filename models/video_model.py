"""Base classes of all classifiers and models."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras

from distill.models.configs import ModelConfig
from distill.models.frame_moments import frame_moments
from distill.models.input_norm import InputNorm
from distill.models.keras_private import all_layers, replace_moments
from distill.models.stored_arguments import StoredArguments


class Classifier(StoredArguments, keras.layers.Layer):
    """Base of the layers from `[batch, dim]` to probabilities of classes.

    Args:
      num_classes: Number of classes.
      config: Settings of the type `config_class`; None for the defaults.

    Call arguments:
      inputs: `[batch, dim]` floats.

    Returns:
      `[batch, num_classes]` probabilities.
    """

    def __init__(
        self, num_classes: int, config: ModelConfig | None = None, **kwargs
    ):
        super().__init__(**kwargs)
        self.num_classes = num_classes
        self.config = config or self.config_class()


class VideoModel(StoredArguments, keras.Model):
    """Base of all models: it ends in a classifier layer.

    Args:
      classifier: Layer from `[batch, dim]` to `[batch, classes]`, with a
        method `macs()`.
      config: Settings of the type `config_class`; None for the defaults.
      feature_sizes: Width of every feature of a frame or video, in order, for
        models that read each on its own.
      max_frames: Frames of the longest video, for models that depend on it.

    Call arguments:
      inputs: Dict of `frames` `[batch, frames, features]` floats and
        `num_frames` `[batch]` ints; frames at or beyond `num_frames` have no
        effect. For a video-level model: dict of `features` `[batch, dim]`.
      training: Whether dropout applies, frames are sampled and batch
        statistics are used.

    Returns:
      Dict of `embedding` `[batch, dim]`, before dropout, and `predictions`
      `[batch, classes]` in [0, 1].

    Raises:
      ValueError: Settings or `feature_sizes` do not fit one another, or the
        input's width.
    """

    def __init__(
        self,
        classifier: keras.layers.Layer,
        config: ModelConfig | None = None,
        *,
        feature_sizes: Sequence[int] = (),
        max_frames: int = 0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.classifier = classifier
        self.config = config or self.config_class()
        self.feature_sizes = tuple(feature_sizes)
        self.max_frames = max_frames
        self.embedding_drop = None
        self.make_layers()
        for layer in all_layers(self):
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.momentum = self.config.batch_norm_momentum
                layer.epsilon = self.config.batch_norm_epsilon
                replace_moments(layer, frame_moments)

    def make_layers(self) -> None:
        """Makes the layers below the classifier, as the settings say."""

    def macs(self, num_frames: int) -> int:
        """Returns the MACs of one video of `num_frames` frames."""
        return self.classifier.macs()

    def make_by_settings(self, kind: Any, name: str, *args: Any) -> Any:
        """Returns a layer of `args` and the settings it has arguments for.

        Layer and settings call such an argument by the same name.
        """
        settings = dataclasses.asdict(self.config)
        names = settings.keys() & kind.argument_names()
        return self.make(kind, name, *args, **{n: settings[n] for n in names})

    def normalise_inputs(self, enabled: bool) -> None:
        """Makes the `input_norm`; for `make_layers`."""
        self.input_norm = self.make(InputNorm, "input_norm", enabled)

    def drop_embedding(self, rate: float) -> None:
        """Puts a dropout before the classifier; for `make_layers`."""
        self.embedding_drop = self.make(
            keras.layers.Dropout, "embedding_drop", rate
        )

    def classify(self, embedding, training):
        """Returns the outputs for an embedding `[batch, dim]`."""
        inputs = embedding
        if self.embedding_drop is not None:
            inputs = self.embedding_drop(embedding, training=training)
        return {"embedding": embedding, "predictions": self.classifier(inputs)}
