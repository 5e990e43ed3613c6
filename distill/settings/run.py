"""All settings of a run, stored with its results."""

import dataclasses
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from distill.models.argument_checks import check_choice
from distill.models.frame_budget import ALL_FRAMES, FrameBudget
from distill.models.registry import complete_arguments, restore_arguments
from distill.settings.schema import DataSchema
from distill.settings.training import DistillationSettings, TrainingSettings
from distill.system.small_files import parse_json_object
from distill.system.typed_json import read_dataclass


@dataclasses.dataclass(frozen=True)
class NetworkSettings:
    """Settings of one network: its architecture and the frames it sees.

    Attributes:
      model: Name of the model in the registry.
      arguments: All of the model's sizes.
      budget: The frames it sees.
      encoder_sizes: Layers, comma-separated, of the autoencoder's encoder that
        stands before the model; empty for none.
      freeze_encoder: Whether training leaves the encoder's weights alone.
    """

    model: str
    arguments: Mapping[str, Any]
    budget: FrameBudget = ALL_FRAMES
    encoder_sizes: str = ""
    freeze_encoder: bool = True


@dataclasses.dataclass(frozen=True)
class AutoencoderSettings:
    """Settings of a feature autoencoder.

    Attributes:
      encoder_sizes: Width of the encoder's layers, comma-separated; the
        decoder mirrors them.
    """

    encoder_sizes: str


@dataclasses.dataclass(frozen=True)
class RunSettings:
    """All settings that a run's result depends on.

    Attributes:
      data: The records' layout.
      student: The network that is kept; None where an autoencoder is trained.
      training: Batches, epochs, optimiser and label loss.
      teacher: The network beside it; None for a student alone.
      distillation: Terms of the loss against the teacher; None without one.
      initial_checkpoint: File whose student the run starts from, if any.
      encoder_checkpoint: File of the autoencoder whose encoder the networks
        start with, if any.
      autoencoder: The network that is trained without labels, in place of a
        student.
      teacher_checkpoints: Files of trained, frozen networks; the student
        learns from the mean of their embeddings and predictions.
      teacher_weights: Weight of each in that mean, summing to 1; empty: equal
        weights.
      teacher_networks: Role (`teacher` or `student`) of the network of each
        file; empty: the file's teacher, or else its student.
    """

    data: DataSchema
    student: NetworkSettings | None
    training: TrainingSettings
    teacher: NetworkSettings | None = None
    distillation: DistillationSettings | None = None
    initial_checkpoint: str | None = None
    encoder_checkpoint: str | None = None
    autoencoder: AutoencoderSettings | None = None
    teacher_checkpoints: tuple[str, ...] = ()
    teacher_weights: tuple[float, ...] = ()
    teacher_networks: tuple[str, ...] = ()

    def __post_init__(self):
        """Checks the parts against each other."""
        if self.teacher is not None and self.teacher_checkpoints:
            raise ValueError(
                "A teacher is trained in this run, or taken from "
                "teacher_checkpoints, not both."
            )
        has_teacher = self.teacher is not None or self.teacher_checkpoints
        if (self.distillation is not None) != bool(has_teacher):
            raise ValueError(
                "Distillation needs a teacher, and a teacher distillation."
            )
        if self.distillation is not None:
            self._check_teachers(self.distillation)
        if self.data.frame_features:
            for network in (self.teacher, self.student):
                if network is not None:
                    network.budget.width(self.data.max_frames)
        if self.student is not None and self.training.student_views > 1:
            budget = self.student.budget
            if not budget.num_draws(self.data.max_frames):
                raise ValueError(
                    "student_views above 1 need frames that are drawn: "
                    "frame_selection random_k, random_offset or fewest_frames."
                )
        if self.training.frame_dropout and not self.data.frame_features:
            raise ValueError("frame_dropout is for frame-level data.")
        if self.training.mixup and self.data.segment_labels:
            raise ValueError(
                "mixup is not for segment_labels: a mixed pair is not rated."
            )

    def _check_teachers(self, distillation: DistillationSettings) -> None:
        if self.teacher_checkpoints:
            self._check_teacher_fields()
        if distillation.mimic and len(self.teacher_checkpoints) != 1:
            raise ValueError(
                "To mimic takes one teacher_checkpoint, got "
                f"{len(self.teacher_checkpoints)}."
            )
        if distillation.start_from_teacher and not self.teacher_checkpoints:
            raise ValueError("start_from_teacher needs teacher_checkpoints.")
        if distillation.teacher_ema and (
            self.teacher is None or not self.training.ema_half_life
        ):
            raise ValueError(
                "teacher_ema needs a teacher that trains in this run and "
                "ema_half_life above 0."
            )

    def _check_teacher_fields(self) -> None:
        number = len(self.teacher_checkpoints)
        for name in ("teacher_weights", "teacher_networks"):
            values = getattr(self, name)
            if len(values) not in (0, number):
                raise ValueError(
                    f"{name} must be empty or one for each of the {number} "
                    f"teacher_checkpoints, got {list(values)}."
                )
        weights = self.teacher_weights
        if weights and not (
            min(weights) >= 0 and math.isclose(sum(weights), 1, abs_tol=1e-6)
        ):
            raise ValueError(
                "teacher_weights must be 0 or more and sum to 1, got "
                f"{list(weights)}."
            )
        for role in self.teacher_networks:
            check_choice("teacher_networks", role, ("student", "teacher"))

    @property
    def teaching(self) -> str:
        """Role of the network that teaches others: the teacher, if any."""
        return "student" if self.teacher is None else "teacher"

    def network(self, role: str) -> NetworkSettings:
        """Returns the settings of the `teacher` or the `student`.

        Raises:
          ValueError: There is no such network.
        """
        settings = {"teacher": self.teacher, "student": self.student}.get(role)
        if settings is None:
            kinds = ("autoencoder", "teacher", "student")
            held = [kind for kind in kinds if getattr(self, kind) is not None]
            raise ValueError(
                f"There is no {role} here, only the {' and '.join(held)}."
            )
        return settings

    def to_finetune(
        self,
        student_checkpoint: str,
        training: TrainingSettings,
        *,
        data: DataSchema | None = None,
        budget: FrameBudget | None = None,
    ) -> "RunSettings":
        """Returns the settings to train this run's student on, on labels.

        Args:
          student_checkpoint: The file of the student, of which the run starts.
          training: The settings of the new run.
          data: The records' layout; None for this run's.
          budget: The frames that the student sees; None for those of before.

        Raises:
          ValueError: This run has no student.
        """
        student = self.network("student")
        return RunSettings(
            data or self.data,
            dataclasses.replace(student, budget=budget or student.budget),
            training,
            initial_checkpoint=str(student_checkpoint),
        )

    def to_json(self) -> str:
        """Returns the settings as an indented JSON object."""
        return json.dumps(dataclasses.asdict(self), indent=2)

    def by_name(self) -> dict[str, Any]:
        """Returns every field's JSON value by its dotted name."""
        return _flatten(json.loads(self.to_json()))

    @classmethod
    def from_json(cls, text: str) -> "RunSettings":
        """Returns the settings that `to_json` wrote.

        Raises:
          ValueError: The text is not a JSON object, a field is missing,
            unknown or of a wrong type, or the settings contradict each other.
        """
        settings = read_dataclass(cls, parse_json_object(text))
        return settings._with_arguments(restore_arguments)

    def with_all_arguments(self) -> "RunSettings":
        """Returns the settings with the defaults of arguments that lack.

        Checkpoints of earlier versions lack those that are new.
        """
        return self._with_arguments(complete_arguments)

    def _with_arguments(self, change: Callable) -> "RunSettings":
        """Returns the settings with other arguments of the networks."""
        networks = {
            role: dataclasses.replace(
                network, arguments=change(network.model, network.arguments)
            )
            for role in ("teacher", "student")
            if (network := getattr(self, role)) is not None
        }
        return dataclasses.replace(self, **networks)


def changed_settings(old: RunSettings, new: RunSettings) -> dict[str, str]:
    """Names what differs between two runs' settings.

    Returns:
      For every differing field, by its dotted name, `old -> new`.
    """
    old_fields, new_fields = old.by_name(), new.by_name()
    return {
        name: f"{old_fields.get(name)} -> {new_fields.get(name)}"
        for name in sorted(old_fields | new_fields)
        if old_fields.get(name) != new_fields.get(name)
    }


def _flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, item in value.items():
        flat |= _flatten(item, f"{prefix}.{key}" if prefix else key)
    return flat
