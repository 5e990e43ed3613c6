"""Settings of the training and of the distillation from a teacher."""

import dataclasses

from distill.models.options import check_options, option

LABEL_LOSSES = (
    "CrossEntropyLoss",
    "HingeLoss",
    "SoftmaxLoss",
    "CrossEntropyLossWithSparsity",
    "CrossEntropyLossTop50",
    "CrossEntropyLossPositives",
    "NewLoss",
    "PWELoss",
)
PREDICTION_LOSSES = ("kl", "squared_error", "cross_entropy", "correlation")
REPRESENTATION_LOSSES = ("squared_distance", "normalized_distance")
PRECISIONS = ("float32", "bfloat16")
OPTIMIZERS = (
    "Adam",
    "AdamW",
    "Adadelta",
    "Adagrad",
    "Ftrl",
    "Momentum",
    "RMSprop",
    "SGD",
)
LEARNING_RATE_SCHEDULES = ("staircase", "constant", "linear", "cosine")

# Training for some hundred to some thousand videos (--preset=small). The values
# of --preset=paper are the defaults of `TrainingSettings`.
SMALL_TRAINING = {
    "batch_size": 32,
    "num_epochs": 30,
    "base_learning_rate": 0.003,
}


@dataclasses.dataclass(frozen=True)
class DistillationSettings:
    """Weights of the joint loss and the form of its terms."""

    teacher_label_loss_weight: float = option(
        1.0, "Weight of the teacher's label loss.", minimum=0
    )
    student_label_loss_weight: float = option(
        1.0, "Weight of the student's label loss beside a teacher.", minimum=0
    )
    representation_loss_weight: float = option(
        0.001, "Weight of the distance between the embeddings.", minimum=0
    )
    prediction_loss_weight: float = option(
        1.0, "Weight of the divergence between the predictions.", minimum=0
    )
    prediction_loss: str = option(
        "kl",
        "Divergence: kl, squared_error, cross_entropy, correlation. kl is of "
        "predictions normalised to sum 1, cross_entropy against the teacher's "
        "probabilities, correlation of each class over the batch.",
        choices=PREDICTION_LOSSES,
    )
    prediction_loss_reduction: str = option(
        "mean",
        "Mean or sum of the divergence over the batch (of the correlation "
        "over the classes).",
        choices=("mean", "sum"),
    )
    relational_loss_weight: float = option(
        0.0,
        "Weight of the difference of the distances between a batch's "
        "embeddings.",
        minimum=0,
    )
    representation_loss: str = option(
        "squared_distance",
        "Distance of the embeddings. squared_distance; normalized_distance: "
        "of embeddings scaled to norm 1.",
        choices=REPRESENTATION_LOSSES,
    )
    temperature: float = option(
        1.0,
        "Divisor of the logits in --prediction_loss=cross_entropy.",
        minimum=0,
    )
    normalize_terms: bool = option(
        False,
        "Scale every term against the teacher, at each step, to the size of "
        "the student's label loss; weights are fractions of it.",
    )
    final_distillation_factor: float = option(
        1.0,
        "Factor of the terms against the teacher in the last epoch; linear "
        "from 1 by epochs.",
        minimum=0,
    )
    final_label_factor: float = option(
        1.0,
        "Factor of the student's label loss in the last epoch; linear from 1.",
        minimum=0,
    )
    teacher_ema: bool = option(
        False,
        "Learn from the EMA of the teacher that trains beside the student "
        "(--ema_half_life).",
    )
    mimic: bool = option(
        False,
        "Learn the teacher's embedding alone, under a copy of its classifier.",
    )
    start_from_teacher: bool = option(
        False,
        "Start with the first teacher's weights. It is the first of "
        "--teacher_checkpoints, a network of the same kind and sizes.",
    )

    def __post_init__(self):
        """Checks the fields."""
        check_options(self)
        if not self.temperature:
            raise ValueError("temperature must be above 0, got 0.")
        if self.temperature != 1 and self.prediction_loss != "cross_entropy":
            raise ValueError(
                "temperature is for prediction_loss cross_entropy, not "
                f"{self.prediction_loss}."
            )


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """Settings of one training run that change its weights."""

    train_data_pattern: str = option(
        help_text="Globs of training files, comma-separated."
    )
    batch_size: int = option(
        256,
        "Videos a step. The last batch of an epoch may hold fewer.",
        minimum=1,
    )
    num_epochs: int = option(5, "Passes over the training data.", minimum=1)
    max_steps: int | None = option(
        None, "Steps after which training ends early.", minimum=1
    )
    label_loss: str = option(
        "CrossEntropyLoss", "Loss against labels.", choices=LABEL_LOSSES
    )
    label_loss_alpha: float = option(
        0.5,
        "CrossEntropyLoss: half the factor of the terms of labels; 1 less it "
        "is half that of the terms of absent labels.",
        minimum=0,
    )
    hinge_margin: float = option(1.0, "Margin of HingeLoss.", minimum=0)
    optimizer: str = option("Adam", "The optimiser.", choices=OPTIMIZERS)
    momentum: float = option(
        0.9, "Momentum of the optimiser Momentum.", minimum=0
    )
    adam_epsilon: float = option(1e-7, "Epsilon of Adam and AdamW.", minimum=0)
    base_learning_rate: float = option(
        0.001,
        "Learning rate at first, or after the warm-up.",
        minimum=0,
    )
    learning_rate_schedule: str = option(
        "staircase",
        "Course of the learning rate: staircase (--learning_rate_decay), "
        "constant, linear or cosine (to 0 at the end of the run).",
        choices=LEARNING_RATE_SCHEDULES,
    )
    warmup_examples: int = option(
        0,
        "Examples over which the learning rate rises from 0, as a factor on "
        "the schedule.",
        minimum=0,
    )
    learning_rate_decay: float = option(
        1.0,
        "staircase: factor on the learning rate every "
        "--learning_rate_decay_examples.",
        minimum=0,
    )
    learning_rate_decay_examples: int = option(
        4_000_000, "Examples between two decays.", minimum=1
    )
    clip_gradient_norm: float = option(
        1.0,
        "Largest norm of each variable's gradient; 0: no clipping.",
        minimum=0,
    )
    regularization_penalty: float = option(
        1.0, "Factor of the models' weight penalties.", minimum=0
    )
    seed: int = option(
        0, "Seed of weights, dropout and the order of the data.", minimum=0
    )
    shuffle_buffer_size: int = option(
        1024, "Records among which the next one is drawn.", minimum=1
    )
    bucket_by_length: bool = option(
        False,
        "Put videos of similar length into a batch. For whole videos of frames "
        "whose lengths differ; a frame budget of a fixed number gains nothing. "
        "The records of 16 batches are held in memory.",
    )
    class_weights_file: str | None = option(
        None,
        "File of one positive number a line and class: its weight in the loss "
        "against labels.",
    )
    positive_class_weights_file: str | None = option(
        None,
        "As --class_weights_file, for the terms of labels alone, not for those "
        "of absent labels (CrossEntropyLoss).",
    )
    mixed_precision: str = option(
        "float32",
        "Precision of the arithmetic: float32 or bfloat16. Weights, "
        "classifiers, losses and metrics are float32 in both.",
        choices=PRECISIONS,
    )
    ema_half_life: float = option(
        0.0,
        "Half-life, in steps, of the weights' moving average; 0: none. The "
        "exponential moving average (EMA) becomes the run's result.",
        minimum=0,
    )
    mixup: float = option(
        0.0,
        "How strongly each video is mixed with another; 0: not. It is the "
        "parameter of a symmetric beta distribution.",
        minimum=0,
    )
    frame_dropout: float = option(
        0.0,
        "Share of the frames of a training video that is left out. Other "
        "frames in every step and network; one stays. Budgets select from the "
        "rest. Frozen teachers and --teacher_ema see all.",
        minimum=0,
    )
    student_views: int = option(
        1,
        "Random frame selections of each video a step for the student.",
        minimum=1,
    )
    train_share: float = option(
        1.0, "Share of every training file's records to use, spread evenly."
    )
    min_frames: int = option(
        1,
        "Leave out videos of fewer frames, in training and scoring. It says "
        "how many; `infer` predicts all videos.",
        minimum=1,
    )
    bootstrap: bool = option(
        False,
        "Train on videos drawn with replacement by --seed, for bagging. How "
        "often each is drawn follows from its id.",
    )
    accumulate_steps: int = option(
        1,
        "Micro-batches of a batch, whose gradients are summed to save memory. "
        "Batch statistics and comparisons of videos are of a micro-batch.",
        minimum=1,
    )

    def __post_init__(self):
        """Checks the fields."""
        check_options(self)
        if not 0 < self.train_share <= 1:
            raise ValueError(
                "train_share must be above 0 and at most 1, got "
                f"{self.train_share}."
            )
        if self.label_loss_alpha > 1:
            raise ValueError(
                f"label_loss_alpha must be at most 1, got "
                f"{self.label_loss_alpha}."
            )
        for name, needed in (
            ("label_loss_alpha", "CrossEntropyLoss"),
            ("positive_class_weights_file", "CrossEntropyLoss"),
            ("hinge_margin", "HingeLoss"),
        ):
            default = type(self).__dataclass_fields__[name].default
            if getattr(self, name) != default and self.label_loss != needed:
                raise ValueError(
                    f"{name} is for label_loss {needed}, not {self.label_loss}."
                )
        if self.frame_dropout >= 1:
            raise ValueError(
                f"frame_dropout must be below 1, got {self.frame_dropout}."
            )
