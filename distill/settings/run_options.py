"""What a training run writes, and how far it has come."""

import dataclasses

from distill.models.argument_checks import check_at_least, check_choice

STRATEGIES = ("auto", "single", "mirrored", "multi_worker")
SHARD_BY = ("file", "batch")
ON_NAN = ("stop", "rollback")


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """What a run writes and when; no option changes the trained weights.

    Attributes:
      train_dir: The run's directory.
      start_new_model: Whether to remove an earlier run there and start over.
      log_every_steps: Steps between two lines of the log.
      checkpoint_every_steps: Steps between two checkpoints; 0 for none.
      checkpoint_every_minutes: Minutes between two; 0 for none.
      checkpoint_every_epoch: Whether there is one after each epoch, beside the
        last.
      export_model_steps: Steps between two exports of the student; 0: none.
      keep_checkpoints: How many of the newest to keep; 0 keeps all.
      on_bad_record: `fail` or `skip`.
      eval_data_pattern: Validation files for a score after every epoch of a
        student alone, by which `best.h5` is kept; None for none.
      top_k: Classes a video that enter the validation GAP.
      quiet: Whether lines go to the log's files alone, and no bar is shown.
      on_nan: When the loss is not finite, `stop`, or `rollback` to the last
        checkpoint and go on without the batches since.
      shard_by: Of several workers: each reads files of its own (`file`), or
        all read everything and share every batch (`batch`).
    """

    train_dir: str
    start_new_model: bool = False
    log_every_steps: int = 10
    checkpoint_every_steps: int = 0
    checkpoint_every_minutes: float = 30.0
    checkpoint_every_epoch: bool = True
    export_model_steps: int = 0
    keep_checkpoints: int = 0
    on_bad_record: str = "fail"
    eval_data_pattern: str | None = None
    top_k: int = 20
    quiet: bool = False
    on_nan: str = "stop"
    shard_by: str = "file"

    def __post_init__(self):
        """Checks the fields."""
        check_at_least(1, log_every_steps=self.log_every_steps)
        for name in (
            "checkpoint_every_steps",
            "checkpoint_every_minutes",
            "export_model_steps",
            "keep_checkpoints",
        ):
            check_at_least(0, **{name: getattr(self, name)})
        check_choice("on_nan", self.on_nan, ON_NAN)
        check_choice("shard_by", self.shard_by, SHARD_BY)
