"""Settings of a run that do not change its weights."""

import dataclasses

from distill.models.options import check_options, option

STRATEGIES = ("auto", "single", "mirrored", "multi_worker")


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """Directory, checkpoints and log of a run."""

    train_dir: str = option(help_text="Directory of the run.")
    start_new_model: bool = option(
        False, "Remove an earlier run in --train_dir first."
    )
    accept_changed_files: bool = option(
        False,
        "Resume with other training files than before. The epoch begins anew "
        "with those of now.",
    )
    log_every_steps: int = option(10, "Steps between log lines.", minimum=1)
    histogram_every_steps: int = option(
        0,
        "Steps between histograms of weights and gradients; 0: none. They are "
        "in TensorBoard's files.",
        minimum=0,
    )
    show_terms: bool = option(
        False, "Show the terms of the loss at every log line."
    )
    checkpoint_every_steps: int = option(
        0, "Steps between checkpoints; 0: none.", minimum=0
    )
    checkpoint_every_minutes: float = option(
        30.0, "Minutes between checkpoints; 0: none.", minimum=0
    )
    checkpoint_every_epoch: bool = option(
        True, "Write a checkpoint after each epoch, not only after the last."
    )
    export_model_steps: int = option(
        0,
        "Steps between two exports of the student as a SavedModel, to "
        "--train_dir/export; 0: none.",
        minimum=0,
    )
    keep_checkpoints: int = option(
        3, "Newest checkpoints to keep, beside best.h5; 0: all.", minimum=0
    )
    eval_data_pattern: str | None = option(
        None,
        "Globs of the files to score on. In training: after every epoch; the "
        "networks of the best GAP are kept as best.h5.",
    )
    patience: int = option(
        0,
        "Epochs without a better GAP on --eval_data_pattern after which "
        "training stops; 0: it goes on to its end.",
        minimum=0,
    )
    top_k: int = option(20, "Classes a video in GAP and the CSV.", minimum=1)
    quiet: bool = option(
        False, "Write log lines to the log's files alone; show no bar."
    )
    on_nan: str = option(
        "stop",
        "When the loss is not finite: stop or rollback. rollback goes back to "
        "the last checkpoint and skips the batches since.",
        choices=("stop", "rollback"),
    )
    on_bad_record: str = option(
        "fail",
        "At a bad record: fail, or skip it. Skipped ones are reported.",
        choices=("fail", "skip"),
    )
    shard_by: str = option(
        "file",
        "Division among several workers: each reads files of its own (file), "
        "or all read every file and share each batch (batch), as one process.",
        choices=("file", "batch"),
    )

    def __post_init__(self):
        """Checks the fields."""
        check_options(self)
        if self.patience and not self.eval_data_pattern:
            raise ValueError(
                f"patience={self.patience} needs eval_data_pattern, the files "
                "to score on."
            )
