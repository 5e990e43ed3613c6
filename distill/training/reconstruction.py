"""One training step of an autoencoder, without labels."""

import keras
import tensorflow as tf
from keras import ops

from distill.networks import video_inputs
from distill.tracing import AnyBatchSize
from distill.training.optimizers import apply_gradients, make_optimizer
from distill.training_settings import TrainingSettings
from models.preprocessing import preprocess


def reconstruction_error(inputs, reconstruction):
    """Returns the mean squared error over the real values of each video.

    Args:
      inputs: Dict of `frames` `[batch, frames, features]` and `num_frames`
        `[batch]`, or of `features` `[batch, features]`.
      reconstruction: Shaped as frames or features.

    Returns:
      `[batch]` floats. Frames at or beyond `num_frames` do not count; a video
      without frames has the error 0.
    """
    reconstruction = ops.cast(reconstruction, "float32")
    if "features" in inputs:
        return ops.mean(ops.square(inputs["features"] - reconstruction), -1)
    errors = ops.mean(ops.square(inputs["frames"] - reconstruction), axis=-1)
    num_frames = ops.cast(inputs["num_frames"], "int32")[:, None]
    real = ops.arange(ops.shape(errors)[1], dtype="int32")[None] < num_frames
    total = ops.sum(ops.where(real, errors, 0.0), axis=1)
    num_real = ops.sum(ops.cast(real, "float32"), axis=1)
    return total / ops.maximum(num_real, 1.0)


class Reconstructor:
    """Trains an autoencoder by one loss and one step.

    Args:
      autoencoder: A built model from preprocessed inputs to `reconstruction`.
      training: The optimiser.
    """

    def __init__(self, autoencoder: keras.Model, training: TrainingSettings):
        self.autoencoder = autoencoder
        self.training = training
        self.optimizer = make_optimizer(training)
        self.variables = autoencoder.trainable_variables
        self.optimizer.build(self.variables)
        self._step = AnyBatchSize(self._train_step)

    def train_step(self, batch, learning_rate: float, progress: float = 0.0):
        """Changes the weights by one batch.

        Args:
          batch: Dict of `frames` uint8 `[batch, frames, features]` and
            `num_frames` `[batch]`, or `features` `[batch, features]`.
          learning_rate: The rate of this step.
          progress: Has no effect.

        Returns:
          Dict of `loss`, the mean over the batch of `reconstruction_error`; an
          empty dict, as there are no predictions.
        """
        self.optimizer.learning_rate.assign(learning_rate)
        return {"loss": self._step(video_inputs(batch))}, {}

    def _train_step(self, inputs):
        inputs = preprocess(inputs)
        with tf.GradientTape() as tape:
            outputs = self.autoencoder(inputs)
            errors = reconstruction_error(inputs, outputs["reconstruction"])
            loss = tf.reduce_mean(errors)
        gradients = tape.gradient(loss, self.variables)
        apply_gradients(
            self.optimizer,
            gradients,
            self.variables,
            self.training.clip_gradient_norm,
        )
        return loss
