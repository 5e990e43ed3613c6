"""The terms of a student's loss against its teachers."""

from collections.abc import Callable, Iterable

import keras
import tensorflow as tf

from distill import losses
from distill.networks.network import Network
from distill.settings.training import DistillationSettings

Outputs = dict[str, tf.Tensor]

_SMALLEST_TERM = 1e-8


class DistillationTerms:
    """The student's weighted distances from its teachers' outputs.

    Of several teachers, the weighted mean of the predictions teaches, and the
    distances from the embeddings are averaged with the same weights. Where
    the widths of embeddings differ, the student's embedding passes a learned
    projection before the representation loss; it is no part of the student.

    Args:
      student_views: Number of copies of each video in the outputs.
      teacher_weights: Weight of each teacher in the means; empty for equal
        weights.
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
            build_projection(student, teacher, index)
            if settings.representation_loss_weight
            else None
            for index, teacher in enumerate(teachers)
        ]

    @property
    def variables(self) -> list[keras.Variable]:
        """The projections' weights."""
        projections = [each for each in self.projections if each is not None]
        return [v for each in projections for v in each.trainable_variables]

    @property
    def summed(self) -> tuple[str, ...]:
        """Names of the terms that are sums over the batch, not means."""
        settings = self.settings
        is_sum = (
            settings.prediction_loss_reduction == "sum"
            and settings.prediction_loss != "correlation"
            and not settings.normalize_terms
        )
        return ("prediction_loss",) if is_sum else ()

    def __call__(
        self, teachers: list[Outputs], student: Outputs, label_loss: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        """Returns the weighted terms by name, scalars.

        Args:
          teachers: `embedding` and `predictions` of each teacher, through
            which no gradient flows.
          student: The student's.
          label_loss: Scalar, the student's label loss before its weight. With
            `normalize_terms` the terms are scaled to it.
        """
        settings = self.settings
        terms = {}
        if settings.representation_loss_weight:
            loss = losses.REPRESENTATION_LOSSES[settings.representation_loss]
            plain = student["embedding"]
            projected = [
                plain if p is None else p(plain) for p in self.projections
            ]
            terms["representation_loss"] = self._embedding_loss(
                loss, teachers, projected
            )
        if settings.relational_loss_weight:
            embeddings = [student["embedding"]] * len(teachers)
            terms["relational_loss"] = self._embedding_loss(
                losses.relational_distance, teachers, embeddings
            )
        if settings.prediction_loss_weight:
            terms["prediction_loss"] = self._prediction_loss(teachers, student)
        for name, term in terms.items():
            if settings.normalize_terms:
                # A constant factor: the gradient keeps its direction.
                scale = label_loss / tf.maximum(term, _SMALLEST_TERM)
                term = tf.stop_gradient(scale) * term
            terms[name] = getattr(settings, f"{name}_weight") * term
        return terms

    def _embedding_loss(
        self,
        loss: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
        teachers: list[Outputs],
        embeddings: list[tf.Tensor],
    ) -> tf.Tensor:
        pairs = zip(teachers, embeddings, strict=True)
        return self._teacher_mean(
            losses.batch_mean(loss(teacher["embedding"], embedding))
            for teacher, embedding in pairs
        )

    def _prediction_loss(
        self, teachers: list[Outputs], student: Outputs
    ) -> tf.Tensor:
        settings = self.settings
        arguments = {}
        if settings.prediction_loss == "cross_entropy":
            arguments["temperature"] = settings.temperature
        divergence = losses.PREDICTION_LOSSES[settings.prediction_loss](
            self._teacher_mean(teacher["predictions"] for teacher in teachers),
            student["predictions"],
            **arguments,
        )
        if settings.prediction_loss_reduction == "mean":
            return losses.batch_mean(divergence)
        # The correlation has one value a class for any number of views.
        per_class = settings.prediction_loss == "correlation"
        views = 1 if per_class else self.student_views
        return tf.reduce_sum(divergence) / views

    def _teacher_mean(self, values: Iterable[tf.Tensor]) -> tf.Tensor:
        values = list(values)
        if len(values) == 1:
            return values[0]
        if not self.teacher_weights:
            return tf.add_n(values) / len(values)
        pairs = zip(self.teacher_weights, values, strict=True)
        return tf.add_n([weight * value for weight, value in pairs])


def build_projection(
    student: Network, teacher: Network, index: int
) -> keras.layers.Dense | None:
    """Returns a linear layer from the student's to the teacher's embedding.

    Romero et al., "FitNets: hints for thin deep nets", ICLR 2015: a learned
    regressor between layers of different widths. None for equal widths. Its
    name tells the teacher's index, so that optimiser variables differ in name.
    """
    if student.embedding_size == teacher.embedding_size:
        return None
    name = f"projection_{index}" if index else "projection"
    projection = keras.layers.Dense(teacher.embedding_size, name=name)
    projection.build((None, student.embedding_size))
    return projection
