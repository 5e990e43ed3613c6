"""A batch normalisation of a model's inputs that a flag turns on."""

import keras


@keras.saving.register_keras_serializable("models")
class InputNorm(keras.layers.BatchNormalization):
    """Normalises the inputs over the batch, or hands them on as they are.

    Args:
      enabled: Whether anything is done, and there are weights.
      epsilon: What is added to the variance.

    Call arguments:
      inputs: `[batch, dim]` or `[batch, frames, dim]` floats.
      real: `[batch, frames]` booleans: the frames that batch statistics are
        taken of; None takes all.
      training: Whether batch statistics are used.

    Returns:
      The inputs' shape and type.
    """

    def __init__(self, enabled: bool, epsilon: float = 1e-3, **kwargs):
        super().__init__(epsilon=epsilon, **kwargs)
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

    def get_config(self):
        """Returns the constructor's arguments."""
        return super().get_config() | {"enabled": self.enabled}
