"""One training step, for a teacher and a student or for a student alone.

Bhardwaj, Srinivasan and Khapra, "Efficient video classification using fewer
frames", CVPR 2019 (arXiv 1902.10640), section 3.2.
"""

import numpy as np
import tensorflow as tf

from distill.networks import Network, video_inputs
from distill.settings import DistillationSettings, TrainingSettings
from distill.tracing import AnyBatchSize
from distill.training import losses
from distill.training.optimizers import apply_gradients, make_optimizer
from distill.training.projection import build_projection
from models.preprocessing import preprocess


class Distiller:
    """Trains a student, and beside it a teacher, by one loss and one step.

    The teacher minimises its label loss and weight penalty. The student
    minimises its label loss, its distance from the teacher's embedding and
    predictions, and its weight penalty; no gradient of these reaches the
    teacher. Without a teacher the student minimises label loss and penalty.
    Where the embeddings differ in width, the student's passes a learned
    projection on its way to the loss; it is no part of the student.

    Args:
      student: The network that is kept.
      training: Label loss, optimiser and penalty.
      teacher: The network that sees more frames, or None.
      distillation: Weights and form of the terms; needed with a teacher.
      class_weights: Floats `[classes]`, factors of the classes' terms in both
        networks' label losses; None: 1.
    """

    def __init__(
        self,
        student: Network,
        training: TrainingSettings,
        teacher: Network | None = None,
        distillation: DistillationSettings | None = None,
        class_weights: np.ndarray | None = None,
    ):
        self.student = student
        self.teacher = teacher
        self.training = training
        self.distillation = distillation or DistillationSettings()
        self.class_weights = class_weights
        self.projection = (
            build_projection(student, teacher)
            if teacher is not None
            and self.distillation.representation_loss_weight
            else None
        )
        self.optimizer = make_optimizer(training)
        self.variables = [
            variable
            for network in (teacher, student)
            if network is not None
            for variable in network.model.trainable_variables
        ]
        if self.projection is not None:
            self.variables += self.projection.trainable_variables
        self.optimizer.build(self.variables)
        self._step = AnyBatchSize(self._train_step)

    def train_step(self, batch, learning_rate: float):
        """Changes the weights by one batch.

        Args:
          batch: Dict of `frames` uint8 `[batch, frames, features]` and
            `num_frames` `[batch]`, or `features` `[batch, features]`; and
            `labels` bool `[batch, classes]`; and, of segments,
            `label_weights` bool `[batch, classes]`: only those count.
          learning_rate: The rate of this step.

        Returns:
          Dict of the terms of the loss as scalars, weighted as they enter it,
          and their sum `loss`; dict of `[batch, classes]` predictions by
          `teacher` and `student`.
        """
        self.optimizer.learning_rate.assign(learning_rate)
        rated = [batch["label_weights"]] if "label_weights" in batch else []
        return self._step(video_inputs(batch), batch["labels"], *rated)

    def _train_step(self, inputs, labels, *rated):
        with tf.GradientTape() as tape:
            terms, predictions = self.loss_terms(inputs, labels, *rated)
            terms["loss"] = tf.add_n(list(terms.values()))
        gradients = tape.gradient(terms["loss"], self.variables)
        apply_gradients(
            self.optimizer,
            gradients,
            self.variables,
            self.training.clip_gradient_norm,
        )
        return terms, predictions

    def loss_terms(self, inputs, labels, label_weights=None):
        """Returns the weighted terms of the loss and the predictions."""
        labels = tf.cast(labels, tf.float32)
        weights = self._weigh_classes(label_weights)
        if self.teacher is None:
            inputs = preprocess(self.student.select(inputs))
            outputs = _run(self.student, inputs)
            return (
                self._own_terms(
                    "student", self.student, outputs, labels, weights
                ),
                {"student": outputs["predictions"]},
            )
        inputs = preprocess(inputs)
        teacher = _run(self.teacher, self.teacher.select(inputs))
        student = _run(self.student, self.student.select(inputs))
        terms = (
            self._own_terms("teacher", self.teacher, teacher, labels, weights)
            | self._own_terms("student", self.student, student, labels, weights)
            | self._distillation_terms(teacher, student)
        )
        predictions = {
            "teacher": teacher["predictions"],
            "student": student["predictions"],
        }
        return terms, predictions

    def _weigh_classes(self, label_weights):
        """Returns the factors of the label losses' terms; None: 1."""
        if label_weights is None:
            return self.class_weights
        label_weights = tf.cast(label_weights, tf.float32)
        if self.class_weights is None:
            return label_weights
        return self.class_weights * label_weights

    def _own_terms(self, which, network, outputs, labels, weights):
        """Returns a network's label loss and weight penalty."""
        weight = getattr(self.distillation, f"{which}_label_loss_weight")
        label_loss = losses.LABEL_LOSSES[self.training.label_loss](
            labels, outputs["predictions"], weights
        )
        penalty = losses.weight_penalty(network.model)
        return {
            f"{which}_label_loss": weight * tf.reduce_mean(label_loss),
            f"{which}_penalty": self.training.regularization_penalty * penalty,
        }

    def _distillation_terms(self, teacher, student):
        """Returns the student's distances from the teacher."""
        settings = self.distillation
        teacher = {
            key: tf.stop_gradient(value) for key, value in teacher.items()
        }
        terms = {}
        if settings.representation_loss_weight:
            embedding = student["embedding"]
            if self.projection is not None:
                embedding = self.projection(embedding)
            representation = losses.squared_distance(
                teacher["embedding"], embedding
            )
            terms["representation_loss"] = (
                settings.representation_loss_weight
                * tf.reduce_mean(representation)
            )
        if settings.prediction_loss_weight:
            divergence = losses.PREDICTION_LOSSES[settings.prediction_loss](
                teacher["predictions"], student["predictions"]
            )
            reduce = (
                tf.reduce_sum
                if settings.prediction_loss_reduction == "sum"
                else tf.reduce_mean
            )
            terms["prediction_loss"] = settings.prediction_loss_weight * reduce(
                divergence
            )
        return terms


def _run(network, inputs):
    """Returns a network's outputs in training, float32 for the losses."""
    outputs = network.model(inputs, training=True)
    return {key: tf.cast(value, tf.float32) for key, value in outputs.items()}
