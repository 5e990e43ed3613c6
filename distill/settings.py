"""A run's settings: frozen dataclasses, checked, stored with every result."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from distill.data.schema import DataSchema
from models.argument_checks import check_at_least, check_choice

LABEL_LOSSES = ("CrossEntropyLoss", "HingeLoss", "SoftmaxLoss")
PREDICTION_LOSSES = ("kl", "squared_error")
REDUCTIONS = ("mean", "sum")
PRECISIONS = ("float32", "bfloat16")
OPTIMIZERS = ("Adam", "AdamW", "Adagrad", "RMSprop", "SGD")


@dataclasses.dataclass(frozen=True)
class NetworkSettings:
    """One network: its architecture and the frames it sees.

    Attributes:
      model: Name of the model in the registry.
      arguments: All of the model's sizes.
      every_n: It sees the frames 0, n, 2n ...; 1 for all of them.
      encoder_sizes: Layers, comma-separated, of the autoencoder's encoder that
        stands before the model; empty for none.
      freeze_encoder: Whether training leaves the encoder's weights alone.
    """

    model: str
    arguments: Mapping[str, Any]
    every_n: int = 1
    encoder_sizes: str = ""
    freeze_encoder: bool = True

    def __post_init__(self):
        """Checks the fields."""
        check_at_least(1, every_n=self.every_n)


@dataclasses.dataclass(frozen=True)
class AutoencoderSettings:
    """A feature autoencoder.

    Attributes:
      encoder_sizes: Width of the encoder's layers, comma-separated; the
        decoder mirrors them.
    """

    encoder_sizes: str


@dataclasses.dataclass(frozen=True)
class DistillationSettings:
    """The weights of the joint loss and the form of its terms.

    Attributes:
      teacher_label_loss_weight: Weight of the teacher's label loss.
      student_label_loss_weight: Weight of the student's label loss.
      representation_loss_weight: Weight of the squared distance of embeddings.
      prediction_loss_weight: Weight of the divergence of predictions.
      prediction_loss: `kl` or `squared_error`.
      prediction_loss_reduction: `mean` or `sum` over the batch.
    """

    teacher_label_loss_weight: float = 1.0
    student_label_loss_weight: float = 1.0
    representation_loss_weight: float = 0.001
    prediction_loss_weight: float = 1.0
    prediction_loss: str = "kl"
    prediction_loss_reduction: str = "mean"

    def __post_init__(self):
        """Checks the fields."""
        for field in dataclasses.fields(self):
            if field.type is float:
                check_at_least(0, **{field.name: getattr(self, field.name)})
        check_choice("prediction_loss", self.prediction_loss, PREDICTION_LOSSES)
        check_choice(
            "prediction_loss_reduction",
            self.prediction_loss_reduction,
            REDUCTIONS,
        )


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """How a run trains.

    Attributes:
      train_data_pattern: Globs of the training files, separated by commas.
      batch_size: Videos a step; the last batch of an epoch may hold fewer.
      num_epochs: Passes over the training data.
      max_steps: Steps after which training ends early; None for no limit.
      label_loss: The loss against labels.
      class_weights_file: File of the classes' weights in it; None: 1 each.
      optimizer: Name of the optimiser.
      base_learning_rate: Learning rate of the first step.
      learning_rate_decay: Factor applied every `learning_rate_decay_examples`.
      learning_rate_decay_examples: Examples between two decays.
      clip_gradient_norm: Largest norm of each variable's gradient; 0: none.
      regularization_penalty: Factor of the models' weight penalties.
      seed: Seed of weights, dropout and the order of the data.
      shuffle_buffer_size: Records among which the next one is drawn.
      mixed_precision: What the networks compute in: `float32` or `bfloat16`,
        beside weights, classifiers, losses and metrics in float32.
    """

    train_data_pattern: str
    batch_size: int = 256
    num_epochs: int = 5
    max_steps: int | None = None
    label_loss: str = "CrossEntropyLoss"
    optimizer: str = "Adam"
    base_learning_rate: float = 0.001
    learning_rate_decay: float = 1.0
    learning_rate_decay_examples: int = 4_000_000
    clip_gradient_norm: float = 1.0
    regularization_penalty: float = 1.0
    seed: int = 0
    shuffle_buffer_size: int = 1024
    class_weights_file: str | None = None
    mixed_precision: str = "float32"

    def __post_init__(self):
        """Checks the fields."""
        for name in (
            "batch_size",
            "num_epochs",
            "learning_rate_decay_examples",
            "shuffle_buffer_size",
        ):
            check_at_least(1, **{name: getattr(self, name)})
        if self.max_steps is not None:
            check_at_least(1, max_steps=self.max_steps)
        for name in (
            "base_learning_rate",
            "learning_rate_decay",
            "clip_gradient_norm",
            "regularization_penalty",
            "seed",
        ):
            check_at_least(0, **{name: getattr(self, name)})
        check_choice("label_loss", self.label_loss, LABEL_LOSSES)
        check_choice("optimizer", self.optimizer, OPTIMIZERS)
        check_choice("mixed_precision", self.mixed_precision, PRECISIONS)


@dataclasses.dataclass(frozen=True)
class RunSettings:
    """All that defines a run's result.

    Attributes:
      data: The records' layout.
      student: The network that is kept; None where an autoencoder is trained.
      training: How it trains.
      teacher: The network beside it; None for a student alone.
      distillation: How the teacher's knowledge enters the loss; None without
        a teacher.
      initial_checkpoint: File whose student the run starts from, if any.
      encoder_checkpoint: File of the autoencoder whose encoder the networks
        start with, if any.
      autoencoder: What is trained without labels in place of a student.
    """

    data: DataSchema
    student: NetworkSettings | None
    training: TrainingSettings
    teacher: NetworkSettings | None = None
    distillation: DistillationSettings | None = None
    initial_checkpoint: str | None = None
    encoder_checkpoint: str | None = None
    autoencoder: AutoencoderSettings | None = None

    def network(self, which: str) -> NetworkSettings:
        """Returns the settings of the `teacher` or the `student`.

        Raises:
          ValueError: There is no such network.
        """
        settings = {"teacher": self.teacher, "student": self.student}.get(which)
        if settings is None:
            kinds = ("autoencoder", "teacher", "student")
            held = [kind for kind in kinds if getattr(self, kind) is not None]
            raise ValueError(
                f"There is no {which} here, only the {' and '.join(held)}."
            )
        return settings

    def to_json(self) -> str:
        """Returns the settings as an indented JSON object."""
        return json.dumps(dataclasses.asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> "RunSettings":
        """Returns the settings that `to_json` wrote."""
        fields = json.loads(text)
        data = dict(fields["data"])
        for key in ("feature_names", "feature_sizes"):
            data[key] = tuple(data[key])
        student, autoencoder = fields["student"], fields.get("autoencoder")
        teacher, distillation = fields["teacher"], fields["distillation"]
        return cls(
            data=DataSchema(**data),
            student=NetworkSettings(**student) if student else None,
            training=TrainingSettings(**fields["training"]),
            teacher=NetworkSettings(**teacher) if teacher else None,
            distillation=(
                DistillationSettings(**distillation) if distillation else None
            ),
            initial_checkpoint=fields["initial_checkpoint"],
            encoder_checkpoint=fields.get("encoder_checkpoint"),
            autoencoder=(
                AutoencoderSettings(**autoencoder) if autoencoder else None
            ),
        )


def changed_settings(old: RunSettings, new: RunSettings) -> dict[str, str]:
    """Names what differs between two runs' settings.

    Returns:
      For every differing field, by its dotted name, `old -> new`.
    """
    old_fields = _flatten(json.loads(old.to_json()))
    new_fields = _flatten(json.loads(new.to_json()))
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
