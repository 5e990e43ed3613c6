"""One training step, for a teacher and a student or for a student alone.

Bhardwaj, Srinivasan and Khapra, "Efficient video classification using fewer
frames", CVPR 2019 (arXiv 1902.10640), section 3.2.
"""

import numpy as np
import tensorflow as tf

from distill import losses
from distill.models.frame_selection import select_frames
from distill.models.preprocessing import preprocess
from distill.networks.network import Network, video_inputs
from distill.settings.training import DistillationSettings, TrainingSettings
from distill.training.batch_parts import Batch, count_examples
from distill.training.distillation_terms import DistillationTerms
from distill.training.ema import MovingAverage
from distill.training.mixup import draw_shares, mix_videos
from distill.training.optimizers import make_optimizer
from distill.training.parallel_step import BatchTrainer, ParallelStep


class Distiller(BatchTrainer):
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
        trained = [student] if teacher is None else [teacher, student]
        self._step = ParallelStep(
            self._part_terms,
            [network.model for network in trained],
            self.variables,
            self.optimizer,
            training.clip_gradient_norm,
            self._update_averages if self.averages else None,
        )

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

    def prepare(self, batch: Batch) -> Batch:
        """Returns what the step needs of a batch as read, to be divided.

        Args:
          batch: Dict of `frames` uint8 `[batch, frames, features]` and
            `num_frames` `[batch]`, or `features` `[batch, features]`; and
            `labels` bool `[batch, classes]`; of segments `label_weights` bool
            `[batch, classes]`: only those count; and, where the student's
            frames are drawn here, `draws` `[batch, draws of all views]`.

        Returns:
          These and, with mixup, every video's `mixup_shares` `[batch]`.
        """
        kept = video_inputs(batch)
        for name in ("labels", "label_weights"):
            if name in batch:
                kept[name] = batch[name]
        if self.training.mixup:
            steps = int(np.asarray(self.optimizer.iterations))
            seed = (self.training.seed, steps)
            kept["mixup_shares"] = draw_shares(
                count_examples(batch), self.training.mixup, seed
            )
        return kept

    def train_parts(
        self,
        turns: list[list[Batch]],
        learning_rate: float,
        progress: float = 0.0,
    ):
        """Changes the weights by the parts of one prepared batch.

        Terms that compare a batch's videos with one another (correlation,
        relational loss, `normalize_terms`) compare those of a part.

        Args:
          turns: Parts by turn and by replica of this process.
          learning_rate: The rate of this step.
          progress: Share of the run that lies behind, for scheduled weights.

        Returns:
          Dict of the terms of the loss as scalars, weighted as they enter it,
          and their sum `loss`; of each part a dict of `[part, classes]`
          predictions by `teacher` and `student` (of its first view).
        """
        self.optimizer.learning_rate.assign(learning_rate)
        self.progress.assign(progress)
        return self._step(turns)

    def _update_averages(self):
        steps = tf.identity(self.optimizer.iterations) - 1
        for average in self.averages.values():
            average.update(steps)

    def _part_terms(self, part):
        """Returns what a part adds to the terms of the whole batch's loss."""
        part = dict(part)
        share, labels = part.pop("share"), part.pop("labels")
        rated = [part.pop("label_weights")] if "label_weights" in part else []
        terms, predictions = self.loss_terms(part, labels, *rated)
        # What is summed over the batch adds up by itself.
        summed = self.terms.summed if self.terms else ()
        shares = {name: 1.0 if name in summed else share for name in terms}
        # An empty part's means are not numbers.
        return {
            name: tf.where(share > 0, shares[name] * term, 0.0)
            for name, term in terms.items()
        }, predictions

    def loss_terms(self, inputs, labels, label_weights=None):
        """Returns the weighted terms of the loss and the predictions."""
        labels = tf.cast(labels, tf.float32)
        weights = self._weigh_classes(label_weights)
        inputs = dict(inputs)
        draws = inputs.get("draws")
        shares = inputs.pop("mixup_shares", None)
        inputs = preprocess(inputs)
        if shares is not None:
            inputs, labels = mix_videos(inputs, labels, shares)
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
        if self.distillation.teacher_ema:
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

    def _own_terms(self, role, outputs, labels, weights):
        """Returns a network's weighted label loss and penalty; the loss."""
        weight = getattr(self.distillation, f"{role}_label_loss_weight")
        label_loss = losses.batch_mean(
            losses.LABEL_LOSSES[self.training.label_loss](
                labels, outputs["predictions"], weights
            )
        )
        network = self.teacher if role == "teacher" else self.student
        penalty = losses.weight_penalty(network.model)
        terms = {
            f"{role}_label_loss": weight * label_loss,
            f"{role}_penalty": self.training.regularization_penalty * penalty,
        }
        return terms, label_loss


def _run(network, inputs, training=True):
    """Returns a network's outputs, float32 for the losses."""
    outputs = network.model(inputs, training=training)
    return {key: tf.cast(value, tf.float32) for key, value in outputs.items()}
