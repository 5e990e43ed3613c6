"""Groups of flags that several verbs share, under the headings of `--help`."""

import dataclasses

from distill.cli.settings_flags import Flag, field_specs, specs, under
from distill.models import registry
from distill.models.frame_budget import FrameBudget
from distill.models.presets import PRESETS, SMALL, taught_budget
from distill.settings.artifact import ArtifactOptions
from distill.settings.beam import BeamSettings
from distill.settings.extraction import ExtractorSettings
from distill.settings.run_options import STRATEGIES, RunOptions
from distill.settings.schema import FRAME_LEVEL, DataSchema
from distill.settings.training import (
    SMALL_TRAINING,
    DistillationSettings,
    TrainingSettings,
)
from distill.settings.video import VideoSettings

STUDENT_PREFIX = "student_"
REGIMES = ("parallel", "serial", "mimic", "labels", "teacher")
# The headings of `--help` in their order; a verb's own flags are the first.
HEADINGS = (
    "Main",
    "Videos",
    "Features",
    "Data",
    "Network",
    "Teacher",
    "Student",
    "Frame budget",
    "Losses",
    "Training",
    "Run",
    "Sizes of the networks",
    "Sizes of the student alone",
)
_SIZES, _STUDENT_SIZES = HEADINGS[-2:]

STUDENT_FILE = [
    Flag(
        "student_checkpoint",
        "The student's own file. Conversion writes it, fine-tuning starts "
        "from it.",
        heading="Student",
    )
]
CLASS_NAMES = [
    Flag(
        "class_names_file",
        "CSV file of the classes, for exports. It holds a header, then "
        "INDEX,...,NAME. Default: their numbers.",
        heading="Data",
    )
]
CASCADE_FILE = [
    Flag(
        "cascade_file",
        "File of `distill calibrate_cascade`. The student sees more frames "
        "only where it is unsure.",
        heading="Network",
    )
]
VIDEO_FILES = under(
    "Videos",
    specs(VideoSettings),
    rare=[
        field.name
        for field in dataclasses.fields(VideoSettings)
        if field.name.startswith("max_")
    ],
)
EXTRACTOR = under("Features", specs(ExtractorSettings))
BEAM = under("Run", specs(BeamSettings, skip=("beam_tasks",)))
BEAM_INFERENCE = under("Run", specs(BeamSettings))
GPU = [
    Flag(
        "gpu",
        "GPU to compute on; -1: the CPU. Default: every device found.",
        int,
        heading="Run",
    )
]
DEVICES = [
    *GPU,
    Flag(
        "strategy",
        "Devices: auto, single, mirrored or multi_worker. single: one device; "
        "mirrored: all GPUs of this machine; multi_worker: those of all "
        "machines that TF_CONFIG names; auto: multi_worker where it names "
        "several, else mirrored.",
        default="auto",
        choices=STRATEGIES,
        heading="Run",
    ),
    Flag(
        "deterministic",
        "Give the same bits again on one machine, at a cost of speed.",
        bool,
        False,
        heading="Run",
    ),
]
LAYOUT = under(
    "Data",
    [
        Flag(
            "dataset",
            f"Records' layout: {', '.join(FRAME_LEVEL)}. Default: yt8m_2018.",
        ),
        *specs(DataSchema, unset="as --dataset, or the checkpoint, says"),
    ],
    rare=("segment_labels", "segment_tails", "float_features"),
)
_UNSET_BUDGET = "every frame, or as the student was trained"
BUDGET = under(
    "Frame budget",
    specs(
        FrameBudget, "selection", "every_n", "num_frames", unset=_UNSET_BUDGET
    ),
)
TRAINING_BUDGET = under(
    "Frame budget",
    specs(
        FrameBudget,
        unset=f"every frame; beside a teacher, with --preset={SMALL}, "
        f"{taught_budget(SMALL).name}; in fine-tuning as before",
    ),
)
PRESET = [
    Flag(
        "preset",
        "Defaults that no flag gives: small or paper. small: sizes and "
        "training for some hundred to some thousand videos; paper: the "
        "references'.",
        default=SMALL,
        choices=PRESETS,
        heading="Training",
    )
]
READING = [
    *under("Data", specs(RunOptions, "on_bad_record")),
    *under("Run", specs(TrainingSettings, "batch_size", "mixed_precision")),
]
NETWORKS = [
    Flag(
        "model",
        "Model of teacher and student; see `distill list_models`. Choices: "
        f"{', '.join(registry.MODELS)}. Default: the first.",
        heading="Teacher",
    ),
    Flag(
        "student_model",
        "Model of the student. Default: --model.",
        heading="Student",
    ),
    Flag(
        "encoder_checkpoint",
        "Checkpoint of `distill train_autoencoder` whose encoder stands "
        "before teacher and student.",
        heading="Teacher",
        rare=True,
    ),
    Flag(
        "freeze_encoder",
        "Do not train the encoder's weights. Default: true; in fine-tuning as "
        "before.",
        bool,
        heading="Teacher",
        rare=True,
    ),
    *under(
        _SIZES,
        field_specs(registry.argument_fields(), "the model's"),
        rare=None,
    ),
    *under(
        _STUDENT_SIZES,
        field_specs(
            registry.argument_fields(), "the teacher's", STUDENT_PREFIX
        ),
        rare=None,
    ),
]
_LABEL_LOSS = (
    "label_loss",
    "label_loss_alpha",
    "hinge_margin",
    "class_weights_file",
    "positive_class_weights_file",
    "regularization_penalty",
)
EXCLUDED_FILES = [
    Flag(
        "exclude_data_pattern",
        "Globs of files that no data pattern matches, comma-separated.",
        heading="Data",
        rare=True,
    )
]
MIN_FRAMES = under("Data", specs(TrainingSettings, "min_frames"), rare=None)
_READ = (
    "train_data_pattern",
    "train_share",
    "min_frames",
    "bootstrap",
    "shuffle_buffer_size",
    "bucket_by_length",
)
_SCORED = ("eval_data_pattern", "on_bad_record")
TRAINING = [
    *PRESET,
    *under(
        "Data",
        [
            *specs(TrainingSettings, *_READ),
            *specs(RunOptions, *_SCORED),
            *EXCLUDED_FILES,
            *CLASS_NAMES,
        ],
        rare=(*_READ[1:], "exclude_data_pattern", "class_names_file"),
    ),
    *under("Frame budget", specs(TrainingSettings, "student_views"), rare=None),
    *under(
        "Losses",
        specs(TrainingSettings, *_LABEL_LOSS),
        rare=_LABEL_LOSS[1:],
    ),
    *under(
        "Training",
        [
            dataclasses.replace(
                flag,
                default=SMALL_TRAINING.get(flag.name, flag.default),
                paper=flag.default if flag.name in SMALL_TRAINING else None,
            )
            for flag in specs(
                TrainingSettings, skip=(*_READ, *_LABEL_LOSS, "student_views")
            )
        ],
        rare=(
            "momentum",
            "adam_epsilon",
            "clip_gradient_norm",
            "accumulate_steps",
        ),
    ),
    *under(
        "Run",
        specs(RunOptions, skip=(*_SCORED, "checkpoint_every_epoch", "quiet")),
        rare=(
            "accept_changed_files",
            "checkpoint_every_steps",
            "checkpoint_every_minutes",
            "export_model_steps",
            "log_every_steps",
            "histogram_every_steps",
            "top_k",
            "on_nan",
            "shard_by",
        ),
    ),
]
DISTILLATION = [
    Flag(
        "regime",
        f"Who teaches whom: {', '.join(REGIMES)}. parallel: teacher and "
        "student in the same steps; serial: the student from "
        "--teacher_checkpoints; mimic: the student's embedding alone from one "
        "of them, under its classifier, to be fine-tuned; labels: the student "
        "on labels alone; teacher: the teacher on labels alone.",
        default="parallel",
        choices=REGIMES,
        heading="Teacher",
    ),
    Flag(
        "teacher_checkpoints",
        "Trained networks, or an ensemble's file, comma-separated. The student "
        "learns from their mean (--regime=serial or mimic).",
        tuple[str, ...],
        heading="Teacher",
    ),
    *under("Teacher", specs(DistillationSettings, "teacher_ema"), rare=None),
    *under("Student", specs(DistillationSettings, "start_from_teacher")),
    *under(
        "Losses",
        specs(
            DistillationSettings,
            skip=("mimic", "teacher_ema", "start_from_teacher"),
        ),
        rare=(
            "prediction_loss_reduction",
            "relational_loss_weight",
            "normalize_terms",
            "final_distillation_factor",
            "final_label_factor",
        ),
    ),
]
CHECKPOINT = [
    Flag(
        "checkpoint",
        "Checkpoint to read. Default: the newest of --train_dir.",
        heading="Network",
    ),
    *under("Network", specs(RunOptions, "train_dir")),
]
EVALUATION_FILES = [
    *under("Data", specs(RunOptions, "eval_data_pattern")),
    *EXCLUDED_FILES,
]
TRUST = under("Network", specs(ArtifactOptions))
SCORING = [
    Flag(
        "role",
        "Network of the checkpoint: student, teacher or both.",
        default="student",
        choices=("student", "teacher", "both"),
        heading="Network",
    ),
    *CASCADE_FILE,
    Flag(
        "artifact",
        "Artifact of `distill export`, in place of a checkpoint. Or its "
        "archive, .tar.gz or .tgz.",
        heading="Network",
    ),
    *TRUST,
    *under("Run", specs(RunOptions, "top_k")),
]
SHARING = under("Run", specs(RunOptions, "shard_by"), rare=None)
