"""How a run trains and what a student learns from its teacher."""

import dataclasses

from distill.models.argument_checks import check_at_least, check_choice

LABEL_LOSSES = ("CrossEntropyLoss", "HingeLoss", "SoftmaxLoss")
PREDICTION_LOSSES = ("kl", "squared_error", "cross_entropy", "correlation")
REPRESENTATION_LOSSES = ("squared_distance", "normalized_distance")
REDUCTIONS = ("mean", "sum")
PRECISIONS = ("float32", "bfloat16")
OPTIMIZERS = ("Adam", "AdamW", "Adagrad", "RMSprop", "SGD")


@dataclasses.dataclass(frozen=True)
class DistillationSettings:
    """The weights of the joint loss and the form of its terms.

    Attributes:
      teacher_label_loss_weight: Weight of the teacher's label loss.
      student_label_loss_weight: Weight of the student's label loss.
      representation_loss_weight: Weight of the distance of embeddings.
      prediction_loss_weight: Weight of the divergence of predictions.
      relational_loss_weight: Weight of the difference of the distances between
        a batch's embeddings.
      prediction_loss: `kl`, `squared_error`, `cross_entropy` or `correlation`.
      prediction_loss_reduction: `mean` or `sum` over the batch (of the
        correlation over the classes).
      representation_loss: `squared_distance`, or `normalized_distance` of
        embeddings scaled to norm 1.
      temperature: By which `cross_entropy` divides the logits.
      normalize_terms: Whether every term against the teacher is scaled, at
        each step, to the size of the student's label loss, so that weights
        are shares of it.
      final_distillation_factor: Factor of the terms against the teacher in the
        last epoch; it moves there from 1, linearly by epochs.
      final_label_factor: The same of the student's label loss.
      teacher_ema: Whether the student learns from the moving average of a
        teacher that trains beside it.
      mimic: Whether the student learns the teacher's embedding alone, under a
        copy of the teacher's classifier.
      start_from_teacher: Whether the student starts with the weights of the
        first trained teacher, which is of the same kind and sizes.
    """

    teacher_label_loss_weight: float = 1.0
    student_label_loss_weight: float = 1.0
    representation_loss_weight: float = 0.001
    prediction_loss_weight: float = 1.0
    prediction_loss: str = "kl"
    prediction_loss_reduction: str = "mean"
    relational_loss_weight: float = 0.0
    representation_loss: str = "squared_distance"
    temperature: float = 1.0
    normalize_terms: bool = False
    final_distillation_factor: float = 1.0
    final_label_factor: float = 1.0
    teacher_ema: bool = False
    mimic: bool = False
    start_from_teacher: bool = False

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
        check_choice(
            "representation_loss",
            self.representation_loss,
            REPRESENTATION_LOSSES,
        )
        if not self.temperature:
            raise ValueError("temperature must be above 0, got 0.")
        if self.temperature != 1 and self.prediction_loss != "cross_entropy":
            raise ValueError(
                "temperature is for prediction_loss cross_entropy, not "
                f"{self.prediction_loss}."
            )


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """How a run trains.

    Attributes:
      train_data_pattern: Globs of the training files, separated by commas.
      train_share: Share of every training file's records that is used, spread
        evenly.
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
      ema_half_life: Steps after which a weight counts half in the moving
        average that is the run's result; 0: the weights themselves are.
      mixup: Parameter of the symmetric beta distribution by which every video
        is mixed with another; 0: none is mixed.
      student_views: Random selections of each video a step for the student.
      accumulate_steps: Parts of a batch taken one after another, whose
        gradients are summed: the memory is that of a part. Batch statistics
        and what compares videos with one another are of a part.
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
    ema_half_life: float = 0.0
    mixup: float = 0.0
    student_views: int = 1
    train_share: float = 1.0
    accumulate_steps: int = 1

    def __post_init__(self):
        """Checks the fields."""
        for name in (
            "batch_size",
            "num_epochs",
            "learning_rate_decay_examples",
            "shuffle_buffer_size",
            "student_views",
            "accumulate_steps",
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
            "ema_half_life",
            "mixup",
        ):
            check_at_least(0, **{name: getattr(self, name)})
        if not 0 < self.train_share <= 1:
            raise ValueError(
                f"train_share must be above 0 and at most 1, got "
                f"{self.train_share}."
            )
        check_choice("label_loss", self.label_loss, LABEL_LOSSES)
        check_choice("optimizer", self.optimizer, OPTIMIZERS)
        check_choice("mixed_precision", self.mixed_precision, PRECISIONS)
