"""A plain training step: layers, losses and Adam as Keras has them."""

from collections.abc import Mapping

import keras
import tensorflow as tf

from distill import losses
from distill.models.preprocessing import preprocess
from distill.networks.network import Network, video_inputs
from distill.training.distiller import Distiller
from tools.benchmark import forward
from tools.benchmark.networks import Batch
from tools.benchmark.plain_networks import run_block_by_block

_LEARNING_RATE = 1e-3
_CLIP_NORM = 1.0
_TOLERANCE = 1e-4


class PlainStep:
    """A plain step of any kind of training, on a trainer's weights.

    Each network preprocesses its own frames, and Keras computes the weight
    penalties, clips the gradients and updates. A Python loop reads the blocks
    of a hierarchical LSTM; other models are called as they are. The moments
    are those of the trainer's optimiser, to save memory.

    Args:
      distiller: Holds the networks, their weights and the optimiser.
    """

    def __init__(self, distiller: Distiller):
        self.distiller = distiller
        self._step = tf.function(self._train_step, reduce_retracing=True)

    def train_step(self, batch: Batch) -> tf.Tensor:
        """Changes the weights; returns the loss."""
        return self._step(batch)

    def _train_step(self, batch: Batch) -> tf.Tensor:
        variables = self.distiller.variables
        with tf.GradientTape() as tape:
            loss, _ = self.loss(batch)
        gradients = tape.gradient(loss, variables)
        optimizer = self.distiller.optimizer
        for gradient, variable in zip(gradients, variables, strict=True):
            clipped = tf.clip_by_norm(gradient, _CLIP_NORM)
            keras.optimizers.Adam.update_step(
                optimizer, clipped, variable, _LEARNING_RATE
            )
        optimizer.iterations.assign_add(1)
        return loss

    def loss(self, batch: Batch) -> tuple[tf.Tensor, Mapping[str, tf.Tensor]]:
        """Returns the loss, and predictions by role of those that train."""
        distiller = self.distiller
        labels = tf.cast(batch["labels"], tf.float32)
        outputs = {
            role: self._run(network, batch, training=True)
            for role, network in distiller.networks.items()
        }
        loss = tf.zeros(())
        for role, network in distiller.networks.items():
            predictions = outputs[role]["predictions"]
            loss += tf.reduce_mean(losses.cross_entropy(labels, predictions))
            loss += tf.add_n(network.model.losses)
        if distiller.terms is not None:
            loss += self._distances(batch, outputs)
        return loss, {k: each["predictions"] for k, each in outputs.items()}

    def _distances(self, batch: Batch, outputs: dict[str, Batch]) -> tf.Tensor:
        """Returns the weighted distances of the student from its teacher."""
        settings, student = self.distiller.distillation, outputs["student"]
        if self.distiller.frozen_teachers:
            (frozen,) = self.distiller.frozen_teachers
            teacher = self._run(frozen, batch, training=False)
        else:
            teacher = outputs["teacher"]
        fixed = {key: tf.stop_gradient(value) for key, value in teacher.items()}
        representation = losses.squared_distance(
            fixed["embedding"], student["embedding"]
        )
        prediction = losses.normalised_kl(
            fixed["predictions"], student["predictions"]
        )
        return settings.representation_loss_weight * tf.reduce_mean(
            representation
        ) + settings.prediction_loss_weight * tf.reduce_mean(prediction)

    def _run(self, network: Network, batch: Batch, training: bool) -> Batch:
        inputs = video_inputs(batch)
        if "frames" in inputs and self.distiller.selects_frames:
            inputs = dict(network.select(inputs))
        inputs = preprocess(inputs)
        if network.settings.model == forward.MODEL:
            return run_block_by_block(network.model, inputs)
        return network.model(inputs, training=training)


def check_steps(plain: PlainStep, batch: Batch) -> None:
    """Raises a ValueError if the plain loss or predictions differ from ours."""
    loss, predictions = tf.function(plain.loss)(batch)
    terms, ours = tf.function(plain.distiller.loss_terms)(
        video_inputs(batch), batch["labels"]
    )
    for role, values in predictions.items():
        forward.check_equal(values, ours[role])
    total = float(tf.add_n(list(terms.values())))
    if abs(total - float(loss)) > _TOLERANCE * abs(total):
        raise ValueError(
            f"The plain formulation's loss is {float(loss):.6f}, ours "
            f"{total:.6f}."
        )
