"""An optional batch normalisation of a model's inputs."""

import keras
from keras import ops

from distill.models.scaled_frames import ScaledFrames
from distill.models.stored_arguments import StoredArguments


@keras.saving.register_keras_serializable("distill.models")
class InputNorm(StoredArguments, keras.layers.BatchNormalization):
    """Normalises the inputs over the batch, or returns them unchanged.

    Args:
      enabled: Whether to normalise; without it there are no weights.

    Call arguments:
      inputs: `[batch, dim]` or `[batch, frames, dim]` floats.
      real: `[batch, frames]` booleans: the frames in the batch statistics;
        None: all.
      training: Whether batch statistics are used.

    Returns:
      The inputs' shape and type.
    """

    def __init__(self, enabled: bool, **kwargs):
        super().__init__(**kwargs)
        self.enabled = enabled

    def build(self, input_shape):
        """Builds the weights, if any, for inputs of this shape."""
        if self.enabled:
            super().build(tuple(input_shape))

    def call(self, inputs, real=None, training=False):
        """Returns the inputs, normalised if enabled."""
        if not self.enabled:
            return inputs
        return super().call(inputs, training=training, mask=real)

    def standardise(self, inputs, real=None):
        """Returns training's outputs as `ScaledFrames`, or the inputs."""
        if not self.enabled:
            return inputs
        self.scale = self.center = False
        try:
            values = super().call(inputs, training=True, mask=real)
        finally:
            self.scale = self.center = True
        weights = (ops.convert_to_tensor(w) for w in (self.gamma, self.beta))
        return ScaledFrames(values, *weights)
