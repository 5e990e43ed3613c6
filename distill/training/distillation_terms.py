"""The terms of a student's loss against its teachers."""

import tensorflow as tf

from distill import losses
from distill.networks.network import Network
from distill.settings.training import DistillationSettings
from distill.training.projection import build_projection

_SMALLEST_TERM = 1e-8


class DistillationTerms:
    """The student's distances from what its teachers say, weighted.

    Of several teachers the predictions are averaged, with the teachers'
    weights, and so are the distances from their embeddings. Where an embedding
    is of another width than the student's, the student's passes a learned
    projection on its way to the loss; it is no part of the student.

    Args:
      settings: Weights and forms.
      student: The network that learns.
      teachers: Those it learns from.
      student_views: How often each video of a batch is in the outputs.
      teacher_weights: Share of each teacher in the means; empty: equal ones.
    """

    def __init__(
        self,
        settings: DistillationSettings,
        student: Network,
        teachers: list[Network],
        student_views: int = 1,
        teacher_weights: tuple[float, ...] = (),
    ):
        self.settings = settings
        self.teacher_weights = teacher_weights
        self.student_views = student_views
        self.projections = [
            build_projection(student, teacher)
            if settings.representation_loss_weight
            else None
            for teacher in teachers
        ]

    @property
    def variables(self) -> list:
        """The projections' weights."""
        return [
            variable
            for projection in self.projections
            if projection is not None
            for variable in projection.trainable_variables
        ]

    @property
    def summed(self) -> tuple[str, ...]:
        """Names of the terms that are sums over the batch, no means."""
        settings = self.settings
        if (
            settings.prediction_loss_reduction == "mean"
            or settings.prediction_loss == "correlation"
            or settings.normalize_terms
        ):
            return ()
        return ("prediction_loss",)

    def __call__(self, teachers: list[dict], student: dict, label_loss):
        """Returns the terms by name, scalars.

        Args:
          teachers: Each teacher's `embedding` and `predictions`, through which
            no gradient shall flow.
          student: The student's.
          label_loss: Scalar, the student's label loss before its weight, to
            which terms are scaled if the settings say so.
        """
        settings = self.settings
        divergences = {}
        if settings.representation_loss_weight:
            divergences["representation_loss"] = self._representation(
                teachers, student
            )
        if settings.relational_loss_weight:
            divergences["relational_loss"] = self._mean(
                losses.batch_mean(
                    losses.relational_distance(
                        teacher["embedding"], student["embedding"]
                    )
                )
                for teacher in teachers
            )
        if settings.prediction_loss_weight:
            divergences["prediction_loss"] = self._prediction(teachers, student)
        return {
            name: getattr(settings, f"{name}_weight")
            * (
                _scale_to(label_loss, divergence)
                if settings.normalize_terms
                else divergence
            )
            for name, divergence in divergences.items()
        }

    def _representation(self, teachers, student):
        distance = losses.REPRESENTATION_LOSSES[
            self.settings.representation_loss
        ]
        return self._mean(
            losses.batch_mean(
                distance(
                    teacher["embedding"],
                    student["embedding"]
                    if projection is None
                    else projection(student["embedding"]),
                )
            )
            for teacher, projection in zip(
                teachers, self.projections, strict=True
            )
        )

    def _prediction(self, teachers, student):
        settings = self.settings
        function = losses.PREDICTION_LOSSES[settings.prediction_loss]
        arguments = (
            {"temperature": settings.temperature}
            if settings.prediction_loss == "cross_entropy"
            else {}
        )
        divergence = function(
            self._mean(teacher["predictions"] for teacher in teachers),
            student["predictions"],
            **arguments,
        )
        if settings.prediction_loss_reduction == "sum":
            of_classes = settings.prediction_loss == "correlation"
            views = 1 if of_classes else self.student_views
            return tf.reduce_sum(divergence) / views
        return losses.batch_mean(divergence)

    def _mean(self, values):
        """Returns the mean over the teachers, by their weights."""
        values = list(values)
        if len(values) == 1:
            return values[0]
        if not self.teacher_weights:
            return tf.add_n(values) / len(values)
        weights = self.teacher_weights
        return tf.add_n(
            [w * value for w, value in zip(weights, values, strict=True)]
        )


def _scale_to(label_loss, divergence):
    """Returns a divergence scaled to the label loss, with its own gradient.

    The scale is that of the step's batch and passes no gradient: what is left
    of the divergence is its direction.
    """
    scale = label_loss / tf.maximum(divergence, _SMALLEST_TERM)
    return tf.stop_gradient(scale) * divergence
