"""The feature autoencoder: vectors of frames or videos to codes and back.

Hinton and Salakhutdinov, "Reducing the dimensionality of data with neural
networks", Science 2006; as in the Label_YT_Videos repository it is trained
without labels, and its encoder stands before any other model.
"""

import keras
from keras import ops

from distill.models.argument_checks import parse_sizes
from distill.models.dense_stack import DenseLayers
from distill.models.stored_arguments import StoredArguments


@keras.saving.register_keras_serializable("distill.models")
class FeatureCoder(DenseLayers):
    """Dense layers over each vector: ReLU between them, the last one linear.

    Call arguments:
      inputs: `[..., dim]` floats.

    Returns:
      `[..., sizes[-1]]` floats, of either sign.
    """

    def __init__(self, sizes: list[int], **kwargs):
        super().__init__(sizes, **kwargs)
        last = len(self.sizes) - 1
        self.denses = [
            self.make(
                keras.layers.Dense,
                f"dense_{index}",
                size,
                activation=None if index == last else "relu",
                kernel_initializer="glorot_uniform"
                if index == last
                else "he_normal",
            )
            for index, size in enumerate(self.sizes)
        ]

    def call(self, inputs):
        """Returns the last layer's output."""
        outputs = inputs
        for dense in self.denses:
            outputs = dense(outputs)
        return outputs


def make_encoder(encoder_sizes: str, **kwargs) -> FeatureCoder:
    """Returns an autoencoder's encoder, not built yet."""
    sizes = parse_sizes("encoder_sizes", encoder_sizes)
    return FeatureCoder(sizes, name="encoder", **kwargs)


@keras.saving.register_keras_serializable("distill.models")
class FeatureAutoencoder(StoredArguments, keras.Model):
    """Reconstructs every frame, or every video's vector, from its code.

    Args:
      num_features: Width of a frame, all features concatenated.
      encoder_sizes: Width of the encoder's layers, comma-separated, the last
        one the code's; the decoder has them in reverse order.

    Call arguments:
      inputs: Dict of `frames` `[batch, frames, num_features]` floats, or of
        `features` `[batch, num_features]`. Padding is encoded like a frame:
        the loss has to leave it out.

    Returns:
      Dict of `code` `[batch, (frames,) last encoder size]` and
      `reconstruction`, shaped as the input.

    Raises:
      ValueError: `encoder_sizes` is not a list of sizes.
    """

    def __init__(self, num_features: int, encoder_sizes: str, **kwargs):
        super().__init__(**kwargs)
        self.num_features = num_features
        self.encoder_sizes = encoder_sizes
        self.encoder = make_encoder(encoder_sizes, dtype=self.dtype_policy)
        mirrored = [*self.encoder.sizes[-2::-1], num_features]
        self.decoder = self.make(FeatureCoder, "decoder", mirrored)

    def build(self, input_shape):
        """Builds encoder and decoder for vectors of `num_features`."""
        self.encoder.build((None, self.num_features))
        self.decoder.build((None, self.encoder.sizes[-1]))

    def call(self, inputs):
        """Returns codes and reconstructions."""
        values = inputs["frames" if "frames" in inputs else "features"]
        code = self.encoder(ops.convert_to_tensor(values))
        return {"code": code, "reconstruction": self.decoder(code)}
