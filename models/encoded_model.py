"""An autoencoder's encoder before a model, as one model."""

import keras

from distill.models.autoencoder import FeatureCoder
from distill.models.frame_mask import frame_mask, zero_padding
from distill.models.stored_arguments import StoredArguments


@keras.saving.register_keras_serializable("distill.models")
class EncodedModel(StoredArguments, keras.Model):
    """Encodes every frame, or every video's vector, and classifies the codes.

    A model that is already built keeps the names of its weights.

    Args:
      encoder: Layer from `[..., features]` to `[..., dim]`, with a method
        `macs()`.
      model: A model of the registry that reads one feature of the width `dim`.
      freeze_encoder: Whether training leaves the encoder's weights unchanged.

    Call arguments:
      inputs: The inputs of `model`, as wide as the encoder's. Codes at or
        beyond `num_frames` are zeros.
      training: Passed on to the model.

    Returns:
      The outputs of `model`.
    """

    def __init__(
        self,
        encoder: FeatureCoder,
        model: keras.Model,
        freeze_encoder: bool = True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.encoder = encoder
        self.model = model
        self.freeze_encoder = freeze_encoder
        self.encoder.trainable = not freeze_encoder

    @property
    def classifier(self) -> keras.layers.Layer:
        """The model's classifier."""
        return self.model.classifier

    def build(self, input_shape):
        """Builds the encoder, and the model unless it is built."""
        self._key = "frames" if "frames" in input_shape else "features"
        shape = tuple(input_shape[self._key])
        self.encoder.build(shape)
        if not self.model.built:
            encoded = self.encoder.compute_output_shape(shape)
            self.model.build(dict(input_shape) | {self._key: encoded})

    def call(self, inputs, training=False):
        """Returns the model's outputs for the codes."""
        codes = self.encoder(inputs[self._key])
        if self._key == "frames":
            mask = frame_mask(codes, inputs["num_frames"])
            codes = zero_padding(codes, mask)
        return self.model(dict(inputs) | {self._key: codes}, training=training)

    def macs(self, num_frames: int) -> int:
        """Returns the MACs of one video of `num_frames` frames."""
        vectors = num_frames if self._key == "frames" else 1
        encoding = vectors * self.encoder.macs()
        return encoding + self.model.macs(num_frames)
