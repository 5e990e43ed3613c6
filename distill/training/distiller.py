"""One training step of a student: alone, beside a teacher or from teachers.

Bhardwaj, Srinivasan and Khapra, "Efficient video classification using fewer
frames", CVPR 2019 (arXiv 1902.10640), section 3.2.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from distill import losses
from distill.checkpoints.checkpoint import (
    EMA_SUFFIX,
    optimizer_names,
    random_state_names,
    weight_names,
)
from distill.models.preprocessing import preprocess
from distill.networks.network import Network, Videos, video_inputs
from distill.settings.training import DistillationSettings, TrainingSettings
from distill.training.distillation_terms import DistillationTerms, Outputs
from distill.training.ema import NetworkEma
from distill.training.frame_dropout import draw_frames, drop_frames
from distill.training.label_loss import make_label_loss
from distill.training.micro_batches import Batch, Predictions, count_examples
from distill.training.mixup import draw_mixing_weights, mix, mix_videos
from distill.training.training_step import (
    Terms,
    TermsAndPredictions,
    Trainer,
    VariableGroups,
)


class Distiller(Trainer):
    """Trains a student, alone or from teachers, by one loss and one step.

    The student minimises its label loss, its weight penalty and, with
    teachers, its distances from their embeddings and predictions. A teacher
    that trains beside it minimises its own label loss and penalty; the
    student's losses send no gradient to it. Frozen teachers do not change.

    Args:
      student: The network that is kept.
      training: Label loss, optimiser, penalty, mixup, frame dropout, views.
      teacher: The network that trains beside the student, or None.
      distillation: Weights and form of the terms; needed with a teacher.
      class_weights: Floats `[classes]`, factors of the classes in the label
        losses of both networks; None: 1.
      positive_weights: Floats `[classes]`, factors of the terms of labels
        alone; None: 1.
      frozen_teachers: Trained networks, in place of `teacher`.
      teacher_weights: Weight of each frozen teacher in the mean; empty for
        equal weights.
      emas: EMA of the `teacher`'s and the `student`'s weights, by role.
    """

    def __init__(
        self,
        student: Network,
        training: TrainingSettings,
        teacher: Network | None = None,
        distillation: DistillationSettings | None = None,
        class_weights: np.ndarray | None = None,
        positive_weights: np.ndarray | None = None,
        *,
        frozen_teachers: tuple[Network, ...] = (),
        teacher_weights: tuple[float, ...] = (),
        emas: dict[str, NetworkEma] | None = None,
    ):
        self.student = student
        self.teacher = teacher
        both = {"teacher": teacher, "student": student}
        self.networks = {role: n for role, n in both.items() if n is not None}
        self.distillation = distillation or DistillationSettings()
        self.class_weights = class_weights
        self.label_loss = make_label_loss(training, positive_weights)
        self.frozen_teachers = frozen_teachers
        self.emas = emas or {}
        self.terms: DistillationTerms | None = None
        teachers = [*frozen_teachers] if teacher is None else [teacher]
        if teachers:
            self.terms = DistillationTerms(
                self.distillation,
                student,
                teachers,
                training.student_views,
                teacher_weights,
            )
        if self.distillation.mimic:
            # Neither its weights nor its batch statistics change.
            student.model.classifier.trainable = False
        models = [network.model for network in self.networks.values()]
        variables = [v for model in models for v in model.trainable_variables]
        if self.terms is not None:
            variables += self.terms.variables
        super().__init__(models, variables, training)

    @property
    def results(self) -> dict[str, Network]:
        """The networks that train, or the EMAs of their weights, by role."""
        averages = {role: ema.average for role, ema in self.emas.items()}
        return self.networks | averages

    @property
    def selects_frames(self) -> bool:
        """Whether the step selects the student's frames, not the reader."""
        training = self.training
        return (
            self.terms is not None
            or training.student_views > 1
            or training.frame_dropout > 0
        )

    @property
    def reader_options(self) -> dict[str, Any]:
        """The student's frame budget, or the number of draws for all views."""
        budget = self.student.settings.budget
        if not self.selects_frames:
            return {"budget": budget}
        num_draws = budget.num_draws(self.student.schema.max_frames)
        return {"num_draws": self.training.student_views * num_draws}

    @property
    def groups(self) -> VariableGroups:
        """All variables of a run, by group of the checkpoint and name."""
        groups = {
            role: weight_names(network.model)
            for role, network in self.networks.items()
        }
        for role, ema in self.emas.items():
            groups[role + EMA_SUFFIX] = weight_names(ema.average.model)
        groups["optimizer"] = optimizer_names(self.optimizer)
        projections = self.terms.projections if self.terms else []
        for projection in projections:
            if projection is not None:
                groups[projection.name] = weight_names(projection)
        groups["random_state"] = {
            f"{role}/{name}": variable
            for role, network in self.networks.items()
            for name, variable in random_state_names(network.model).items()
        }
        return groups

    def prepare(self, batch: Batch) -> Batch:
        """Returns what a step needs of a batch as read.

        Args:
          batch: Dict of `frames` uint8 `[batch, frames, features]` and
            `num_frames` `[batch]`, or `features` `[batch, features]`; `labels`
            bool `[batch, classes]`; optionally `label_weights` bool `[batch,
            classes]`, False for labels that do not count, and `draws` `[batch,
            draws of all views]` where the step selects frames at random.

        Returns:
          These entries; with mixup `mixing_weights` `[batch]`, and with frame
          dropout `frame_draws` `[batch, frames of all copies]`: a copy for
          each of the student's views, the last for the teacher.
        """
        kept = video_inputs(batch)
        for name in ("labels", "label_weights"):
            if name in batch:
                kept[name] = batch[name]
        size = count_examples(batch)
        steps = int(np.asarray(self.optimizer.iterations))
        seed = (self.training.seed, steps)
        if self.training.mixup:
            kept["mixing_weights"] = draw_mixing_weights(
                size, self.training.mixup, seed
            )
        if self.training.frame_dropout:
            num_draws = self._num_copies * batch["frames"].shape[1]
            kept["frame_draws"] = draw_frames(size, num_draws, seed)
        return kept

    def finish_step(self) -> None:
        """Updates the EMAs of the weights."""
        steps = tf.identity(self.optimizer.iterations) - 1
        for ema in self.emas.values():
            ema.update(steps)

    def micro_batch_terms(self, micro_batch: Batch) -> TermsAndPredictions:
        """Returns the terms that a micro-batch adds to the batch's loss.

        Terms that compare the videos of a batch (correlation, relational loss,
        `normalize_terms`) compare those of the micro-batch.
        """
        inputs = dict(micro_batch)
        weight = inputs.pop("micro_batch_weight")
        terms, predictions = self.loss_terms(
            inputs, inputs.pop("labels"), inputs.pop("label_weights", None)
        )
        summed = self.terms.summed if self.terms else ()
        # The terms of an empty micro-batch may be NaN.
        return {
            name: tf.where(
                weight > 0, (1.0 if name in summed else weight) * term, 0.0
            )
            for name, term in terms.items()
        }, predictions

    def loss_terms(
        self,
        inputs: Batch,
        labels: tf.Tensor,
        label_weights: tf.Tensor | None = None,
    ) -> TermsAndPredictions:
        """Returns the weighted terms of the loss and the predictions.

        Args:
          inputs: A prepared batch without labels.
          labels: `[batch, classes]`.
          label_weights: Factors `[batch, classes]` of the labels' terms; None
            for 1.

        Returns:
          Scalars by name; predictions `[batch, classes]` by `teacher` and
          `student` (of its first view).
        """
        labels = tf.cast(labels, tf.float32)
        weights: Any = self.class_weights
        if label_weights is not None:
            rated = tf.cast(label_weights, tf.float32)
            weights = rated if weights is None else weights * rated
        *views, teacher_videos = self._thin(inputs)
        mixing_weights = inputs.get("mixing_weights")
        if mixing_weights is not None:
            labels = mix(labels, mixing_weights)
        terms, taught, predictions = self._run_teachers(
            inputs, teacher_videos, labels, weights
        )
        student = _run(self.student, self._student_inputs(views))
        repeat = [self.training.student_views, 1]
        student_terms, label_loss = self._supervised_terms(
            "student",
            student,
            tf.tile(labels, repeat),
            weights if label_weights is None else tf.tile(weights, repeat),
        )
        factor = self._scheduled(self.distillation.final_label_factor)
        student_terms["student_label_loss"] *= factor
        terms |= student_terms
        if self.terms is not None:
            taught = _map_outputs(lambda value: tf.tile(value, repeat), taught)
            factor = self._scheduled(
                self.distillation.final_distillation_factor
            )
            distances = self.terms(taught, student, label_loss)
            terms |= {name: factor * term for name, term in distances.items()}
        first_view = student["predictions"][: tf.shape(labels)[0]]
        return terms, predictions | {"student": first_view}

    @property
    def _num_copies(self) -> int:
        """The number of times that a step reads a video: views and teacher."""
        return self.training.student_views + 1

    def _thin(self, inputs: Batch) -> list[Batch]:
        """Returns the batch for each view and the teacher, frames left out."""
        if "frame_draws" not in inputs:
            return [inputs] * self._num_copies
        share = self.training.frame_dropout
        draws = tf.split(inputs["frame_draws"], self._num_copies, 1)
        return [drop_frames(inputs, own, share) for own in draws]

    def _run_teachers(
        self,
        inputs: Batch,
        thinned: Batch,
        labels: tf.Tensor,
        weights: tf.Tensor | None,
    ) -> tuple[Terms, list[Outputs], Predictions]:
        """Returns terms to train on, outputs that teach, and predictions.

        The teacher that trains reads the thinned videos; frozen teachers and
        its moving average read all frames.
        """
        terms: Terms = {}
        predictions: Predictions = {}
        taught, seen = [], {}
        if self.teacher is not None:
            read = self._read(self.teacher.select(thinned), inputs)
            outputs = _run(self.teacher, read)
            terms, _ = self._supervised_terms(
                "teacher", outputs, labels, weights
            )
            predictions["teacher"] = outputs["predictions"]
            taught = [outputs]
            if thinned is inputs:
                seen[self.teacher.settings.budget] = read
        frozen = self.frozen_teachers
        if self.distillation.teacher_ema:
            frozen = (self.emas["teacher"].average,)
        for each in frozen:
            if each.budget not in seen:
                seen[each.budget] = self._read(each.see(inputs), inputs)
        if frozen:
            taught = [
                _run(each, seen[each.budget], training=False) for each in frozen
            ]
        return terms, _map_outputs(tf.stop_gradient, taught), predictions

    def _read(self, selected: Videos, batch: Batch) -> Batch:
        """Returns selected frames, preprocessed, and mixed as the batch is."""
        read = preprocess(selected, self.student.schema.quantisation_range)
        weights = batch.get("mixing_weights")
        return read if weights is None else mix_videos(read, weights)

    def _student_inputs(self, views: list[Batch]) -> Batch:
        """Returns the student's inputs, all views along the batch axis."""
        if not self.selects_frames:
            (inputs,) = views
            return self._read(inputs, inputs)
        draws: list[tf.Tensor | None] = [None] * len(views)
        if "draws" in views[0]:
            draws = tf.split(views[0]["draws"], len(views), 1)
        seen = [
            self._read(self.student.select(view | {"draws": own}), view)
            for view, own in zip(views, draws, strict=True)
        ]
        return {
            key: tf.concat([view[key] for view in seen], axis=0)
            for key in seen[0]
        }

    def _scheduled(self, final: float) -> float | tf.Tensor:
        """Returns a factor that moves linearly from 1 to its final value."""
        return 1.0 if final == 1.0 else 1.0 + (final - 1.0) * self.progress

    def _supervised_terms(
        self,
        role: str,
        outputs: Outputs,
        labels: tf.Tensor,
        weights: tf.Tensor | np.ndarray | None,
    ) -> tuple[Terms, tf.Tensor]:
        """Returns the weighted label loss and penalty, and the plain loss."""
        weight = getattr(self.distillation, f"{role}_label_loss_weight")
        label_loss = losses.batch_mean(
            self.label_loss(labels, outputs["predictions"], weights)
        )
        penalty = losses.weight_penalty(self.networks[role].model)
        terms = {
            f"{role}_label_loss": weight * label_loss,
            f"{role}_penalty": self.training.regularization_penalty * penalty,
        }
        return terms, label_loss


def _map_outputs(
    function: Callable[[tf.Tensor], tf.Tensor], outputs: list[Outputs]
) -> list[Outputs]:
    return [{k: function(v) for k, v in each.items()} for each in outputs]


def _run(
    network: Network, inputs: Mapping[str, tf.Tensor], training: bool = True
) -> Outputs:
    """Returns a network's outputs, float32 for the losses."""
    outputs = network.model(inputs, training=training)
    return {key: tf.cast(value, tf.float32) for key, value in outputs.items()}
