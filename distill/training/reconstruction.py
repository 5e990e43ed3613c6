"""One training step of an autoencoder, without labels."""

import keras
from keras import ops

from distill.checkpoints.checkpoint import optimizer_names, weight_names
from distill.losses import batch_mean
from distill.models.frame_mask import frame_mask
from distill.models.preprocessing import preprocess
from distill.models.quantisation import YT8M_RANGE
from distill.networks.network import video_inputs
from distill.settings.training import TrainingSettings
from distill.training.micro_batches import Batch
from distill.training.training_step import (
    TermsAndPredictions,
    Trainer,
    VariableGroups,
)


def reconstruction_error(inputs: Batch, reconstruction):
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
    real = frame_mask(inputs["frames"], inputs["num_frames"])
    total = ops.sum(ops.where(real, errors, 0.0), axis=1)
    num_real = ops.sum(ops.cast(real, "float32"), axis=1)
    return total / ops.maximum(num_real, 1.0)


class Reconstructor(Trainer):
    """Trains an autoencoder by the mean of `reconstruction_error`.

    The autoencoder is built, from preprocessed inputs to `reconstruction`.
    `value_range` is that of the frames' quantisation.
    """

    def __init__(
        self,
        autoencoder: keras.Model,
        training: TrainingSettings,
        value_range: tuple[float, float] = YT8M_RANGE,
    ):
        self.autoencoder = autoencoder
        self._value_range = value_range
        super().__init__(
            [autoencoder], autoencoder.trainable_variables, training
        )

    @property
    def groups(self) -> VariableGroups:
        """All variables of a run, by group of the checkpoint and name."""
        return {
            "autoencoder": weight_names(self.autoencoder),
            "optimizer": optimizer_names(self.optimizer),
        }

    def prepare(self, batch: Batch) -> Batch:
        """Returns `frames` and `num_frames`, or `features`."""
        return video_inputs(batch)

    def micro_batch_terms(self, micro_batch: Batch) -> TermsAndPredictions:
        """Returns the weighted `loss`, and no predictions."""
        inputs = dict(micro_batch)
        weight = inputs.pop("micro_batch_weight")
        inputs = preprocess(inputs, self._value_range)
        outputs = self.autoencoder(inputs)
        errors = reconstruction_error(inputs, outputs["reconstruction"])
        return {"loss": weight * batch_mean(errors)}, {}
