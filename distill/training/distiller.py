"""One training step, for a teacher and a student or for a student alone.

Bhardwaj, Srinivasan and Khapra, "Efficient video classification using fewer
frames", CVPR 2019 (arXiv 1902.10640), section 3.2.
"""

import numpy as np
import tensorflow as tf

from distill.networks import Network, video_inputs
from distill.tracing import AnyBatchSize
from distill.training import losses
from distill.training.distillation_terms import DistillationTerms
from distill.training.mixup import mix_videos
from distill.training.moving_average import MovingAverage
from distill.training.optimizers import apply_gradients, make_optimizer
from distill.training_settings import DistillationSettings, TrainingSettings
from models.frame_selection import select_frames
from models.preprocessing import preprocess


class Distiller:
    """Trains a student, alone or from teachers, by one loss and one step.

    A teacher beside it minimises its label loss and weight penalty; teachers
    that are trained already stay as they are. The student minimises its label
    loss, its distance from the teachers' embeddings and predictions, and its
    weight penalty; no gradient of these reaches a teacher. Without a teacher
    the student minimises label loss and penalty.

    Args:
      student: The network that is kept.
      training: Label loss, optimiser, penalty, mixup and views.
      teacher: The network that sees more frames and trains beside, or None.
      distillation: Weights and form of the terms; needed with a teacher.
      class_weights: Floats `[classes]`, factors of the classes' terms in both
        networks' label losses; None: 1.
      frozen_teachers: Trained networks, in place of `teacher`.
      teacher_weights: Share of each in the mean that teaches; empty: equal
        ones.
      averages: By `teacher` and `student`, what follows their weights.
    """

    def __init__(
        self,
        student: Network,
        training: TrainingSettings,
        teacher: Network | None = None,
        distillation: DistillationSettings | None = None,
        class_weights: np.ndarray | None = None,
        *,
        frozen_teachers: tuple[Network, ...] = (),
        teacher_weights: tuple[float, ...] = (),
        averages: dict[str, MovingAverage] | None = None,
    ):
        self.student = student
        self.teacher = teacher
        self.training = training
        self.distillation = distillation or DistillationSettings()
        self.class_weights = class_weights
        self.frozen_teachers = frozen_teachers
        self.averages = averages or {}
        teachers = [*frozen_teachers] if teacher is None else [teacher]
        self.terms = (
            DistillationTerms(
                self.distillation,
                student,
                teachers,
                training.student_views,
                teacher_weights,
            )
            if teachers
            else None
        )
        self.optimizer = make_optimizer(training)
        self.variables = self._trained_variables()
        self.optimizer.build(self.variables)
        self.progress = tf.Variable(0.0, trainable=False)
        self._step = AnyBatchSize(self._train_step)

    def _trained_variables(self) -> list:
        if self.distillation.mimic:
            # Neither its weights nor its batch statistics change.
            self.student.model.classifier.trainable = False
        variables = list(self.student.model.trainable_variables)
        if self.teacher is not None:
            variables = [*self.teacher.model.trainable_variables, *variables]
        return variables + (self.terms.variables if self.terms else [])

    @property
    def selects_frames(self) -> bool:
        """Whether it is given whole videos; else the student's frames."""
        return self.terms is not None or self.training.student_views > 1

    def train_step(self, batch, learning_rate: float, progress: float = 0.0):
        """Changes the weights by one batch.

        Args:
          batch: Dict of `frames` uint8 `[batch, frames, features]` and
            `num_frames` `[batch]`, or `features` `[batch, features]`; and
            `labels` bool `[batch, classes]`; of segments `label_weights` bool
            `[batch, classes]`: only those count; and, where the student's
            frames are drawn here, `draws` `[batch, draws of all views]`.
          learning_rate: The rate of this step.
          progress: Share of the run that lies behind, for scheduled weights.

        Returns:
          Dict of the terms of the loss as scalars, weighted as they enter it,
          and their sum `loss`; dict of `[batch, classes]` predictions by
          `teacher` and `student` (of its first view).
        """
        self.optimizer.learning_rate.assign(learning_rate)
        self.progress.assign(progress)
        rated = [batch["label_weights"]] if "label_weights" in batch else []
        return self._step(video_inputs(batch), batch["labels"], *rated)

    def _train_step(self, inputs, labels, *rated):
        steps = tf.identity(self.optimizer.iterations)
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
        for average in self.averages.values():
            average.update(steps)
        return terms, predictions

    def loss_terms(self, inputs, labels, label_weights=None):
        """Returns the weighted terms of the loss and the predictions."""
        labels = tf.cast(labels, tf.float32)
        weights = self._weigh_classes(label_weights)
        draws = inputs.get("draws")
        inputs = preprocess(inputs)
        if self.training.mixup:
            step = tf.cast(tf.identity(self.optimizer.iterations), tf.int32)
            seed = tf.stack([self.training.seed, step])
            inputs, labels = mix_videos(
                inputs, labels, self.training.mixup, seed
            )
        terms, taught, predictions = self._teach(inputs, labels, weights)
        student_inputs = self._student_inputs(inputs, draws)
        student = _run(self.student, student_inputs)
        views = self.training.student_views
        repeat = [views, 1]
        student_terms, label_loss = self._own_terms(
            "student",
            student,
            tf.tile(labels, repeat),
            weights if label_weights is None else tf.tile(weights, repeat),
        )
        factor = self._factor(self.distillation.final_label_factor)
        student_terms["student_label_loss"] *= factor
        terms |= student_terms
        if taught:
            repeated = [
                {key: tf.tile(value, repeat) for key, value in each.items()}
                for each in taught
            ]
            factor = self._factor(self.distillation.final_distillation_factor)
            distances = self.terms(repeated, student, label_loss)
            terms |= {name: factor * term for name, term in distances.items()}
        first_view = student["predictions"][: tf.shape(labels)[0]]
        return terms, predictions | {"student": first_view}

    def _teach(self, inputs, labels, weights):
        """Returns what the teachers say of whole videos.

        Returns:
          The terms of a teacher that trains; the outputs from which the
          student learns, one of each teacher; the predictions to report.
        """
        terms, predictions, taught = {}, {}, []
        if self.teacher is not None:
            outputs = _run(self.teacher, self.teacher.select(inputs))
            terms, _ = self._own_terms("teacher", outputs, labels, weights)
            predictions["teacher"] = outputs["predictions"]
            taught = [outputs]
        frozen = self.frozen_teachers
        if self.distillation.teacher_average:
            frozen = [self.averages["teacher"].average]
        if frozen:
            taught = [
                _run(
                    teacher,
                    select_frames(inputs, teacher.budget),
                    training=False,
                )
                for teacher in frozen
            ]
        taught = [
            {key: tf.stop_gradient(value) for key, value in outputs.items()}
            for outputs in taught
        ]
        return terms, taught, predictions

    def _student_inputs(self, inputs, draws):
        """Returns the student's frames: of all views, one after another."""
        if not self.selects_frames:
            return inputs
        views = self.training.student_views
        parts = [None] * views if draws is None else tf.split(draws, views, 1)
        selected = [
            self.student.select(inputs | {"draws": part}) for part in parts
        ]
        return {
            key: tf.concat([view[key] for view in selected], axis=0)
            for key in selected[0]
            if key != "draws"
        }

    def _factor(self, final):
        """Returns a scheduled factor: from 1 linearly to its final value."""
        return 1.0 if final == 1.0 else 1.0 + (final - 1.0) * self.progress

    def _weigh_classes(self, label_weights):
        """Returns the factors of the label losses' terms; None: 1."""
        if label_weights is None:
            return self.class_weights
        label_weights = tf.cast(label_weights, tf.float32)
        if self.class_weights is None:
            return label_weights
        return self.class_weights * label_weights

    def _own_terms(self, which, outputs, labels, weights):
        """Returns a network's weighted label loss and penalty; the loss."""
        weight = getattr(self.distillation, f"{which}_label_loss_weight")
        label_loss = tf.reduce_mean(
            losses.LABEL_LOSSES[self.training.label_loss](
                labels, outputs["predictions"], weights
            )
        )
        network = self.teacher if which == "teacher" else self.student
        penalty = losses.weight_penalty(network.model)
        terms = {
            f"{which}_label_loss": weight * label_loss,
            f"{which}_penalty": self.training.regularization_penalty * penalty,
        }
        return terms, label_loss


def _run(network, inputs, training=True):
    """Returns a network's outputs, float32 for the losses."""
    outputs = network.model(inputs, training=training)
    return {key: tf.cast(value, tf.float32) for key, value in outputs.items()}
