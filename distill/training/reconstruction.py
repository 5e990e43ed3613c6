"""One training step of an autoencoder, without labels."""

import keras
from keras import ops

from distill.losses import batch_mean
from distill.models.preprocessing import preprocess
from distill.networks.network import video_inputs
from distill.settings.training import TrainingSettings
from distill.training.batch_parts import Batch
from distill.training.optimizers import make_optimizer
from distill.training.parallel_step import BatchTrainer, ParallelStep


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


class Reconstructor(BatchTrainer):
    """Trains an autoencoder by one loss and one step.

    Args:
      autoencoder: A built model from preprocessed inputs to `reconstruction`.
      training: The optimiser.
    """

    def __init__(self, autoencoder: keras.Model, training: TrainingSettings):
        self.autoencoder = autoencoder
        self.training = training
        self.optimizer = make_optimizer(training)
        self.optimizer.build(autoencoder.trainable_variables)
        self._step = ParallelStep(
            self._part_terms,
            [autoencoder],
            autoencoder.trainable_variables,
            self.optimizer,
            training.clip_gradient_norm,
        )

    def prepare(self, batch: Batch) -> Batch:
        """Returns what the step needs of a batch as read, to be divided."""
        return video_inputs(batch)

    def train_parts(
        self,
        turns: list[list[Batch]],
        learning_rate: float,
        progress: float = 0.0,
    ):
        """Changes the weights by the parts of one prepared batch.

        Args:
          turns: Parts by turn and by replica of this process, each with
            `frames` uint8 `[part, frames, features]` and `num_frames`
            `[part]`, or `features` `[part, features]`.
          learning_rate: The rate of this step.
          progress: Has no effect.

        Returns:
          Dict of `loss`, the mean over the batch of `reconstruction_error`; an
          empty dict a part, as there are no predictions.
        """
        self.optimizer.learning_rate.assign(learning_rate)
        terms, predictions = self._step(turns)
        return {"loss": terms["loss"]}, predictions

    def _part_terms(self, part):
        part = dict(part)
        share = part.pop("share")
        inputs = preprocess(part)
        outputs = self.autoencoder(inputs)
        errors = reconstruction_error(inputs, outputs["reconstruction"])
        return {"reconstruction": share * batch_mean(errors)}, {}
