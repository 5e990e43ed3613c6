"""What is drilled: the stages of the pipeline on small data."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path

from distill.models.argument_checks import check_choice


@dataclasses.dataclass(frozen=True)
class Command:
    """A process: an entry point and its flags.

    Attributes:
      script: Its name.
      flags: Its flags, in which `{out}` stands for the directory where the
        stage leaves everything and `{from}` for that of the undisturbed runs,
        in which every stage has one of its name.
    """

    script: str
    flags: tuple[str, ...]

    def fill(self, out: Path, undisturbed: Path) -> "Command":
        """Returns the command with its directories."""
        places = {"out": str(out), "from": str(undisturbed)}
        return Command(
            self.script, tuple(flag.format(**places) for flag in self.flags)
        )


@dataclasses.dataclass(frozen=True)
class Stage:
    """A stage of the pipeline.

    Attributes:
      name: Its name.
      commands: The processes that make its result, all at the same time; one
        of them is killed.
      needs: Stages whose results it reads.
      are_workers: Whether they are workers of one run, of which none goes on
        without the others; else each does its share alone.
    """

    name: str
    commands: tuple[Command, ...]
    needs: tuple[str, ...] = ()
    are_workers: bool = False


_DATA = (
    "--feature_sizes=12,4",
    "--num_classes=8",
    "--max_frames=20",
)
_TRAINING = (
    *_DATA,
    "--train_data_pattern={from}/data/train-*.tfrecord",
    "--train_dir={out}",
    "--gpu=-1",
    "--batch_size=16",
    "--seed=3",
    "--shuffle_buffer_size=20",
    "--log_every_steps=1",
    "--checkpoint_every_steps=1",
    "--model=PooledNetworkModel",
    "--hidden_sizes=6",
    "--every_n=4",
    "--dropout=0.3",
)
_SCORING = (
    "--gpu=-1",
    "--eval_data_pattern={from}/data/validate-*.tfrecord",
)
_INFERENCE = (*_SCORING, "--checkpoint={from}/finetune/best.h5")
_LAST_STEP = 9
_LAST = f"checkpoint-{_LAST_STEP:08d}.h5"


def _stage(
    name: str, script: str, flags: Iterable[str], needs: Iterable[str] = ()
) -> Stage:
    return Stage(name, (Command(script, tuple(flags)),), tuple(needs))


def _infer_files() -> Stage:
    """Returns inference by two processes that share a directory."""
    commands = tuple(
        Command(
            "infer", (*_INFERENCE, "--output_dir={out}", f"--shard={index},2")
        )
        for index in range(2)
    )
    return Stage("infer_files", commands, ("data", "finetune"))


def _train_workers() -> Stage:
    """Returns training by two workers with files of their own."""
    command = Command("train", (*_TRAINING, "--num_epochs=2"))
    return Stage("workers", (command, command), ("data",), are_workers=True)


PIPELINE = (
    _stage(
        "data",
        "make_synthetic_data",
        (
            *_DATA,
            "--output_dir={out}",
            "--num_train_videos=40",
            "--num_validate_videos=24",
            "--num_shards=6",
        ),
    ),
    _stage("train", "train", (*_TRAINING, "--num_epochs=3"), ["data"]),
    _train_workers(),
    _stage(
        "convert",
        "convert",
        (
            f"--checkpoint={{from}}/train/{_LAST}",
            "--student_checkpoint={out}/student.h5",
        ),
        ["train"],
    ),
    _stage(
        "finetune",
        "finetune",
        (
            *_TRAINING,
            *_SCORING[1:],
            "--num_epochs=3",
            "--student_checkpoint={from}/convert/student.h5",
        ),
        ["data", "convert"],
    ),
    _stage(
        "average",
        "average_checkpoints",
        (
            "--train_dir={from}/train",
            "--last=4",
            "--output_checkpoint={out}/mean.h5",
        ),
        ["train"],
    ),
    _stage(
        "evaluate",
        "evaluate",
        (
            *_SCORING,
            "--checkpoint={from}/average/mean.h5",
            "--role=both",
            "--metrics_file={out}/metrics.json",
        ),
        ["data", "average"],
    ),
    _stage(
        "infer",
        "infer",
        (*_INFERENCE, "--output_file={out}/predictions.csv"),
        ["data", "finetune"],
    ),
    _infer_files(),
    _stage(
        "export",
        "export",
        (
            *_INFERENCE,
            "--export_dir={out}/export",
            "--formats=saved_model,keras",
            "--precisions=float32",
        ),
        ["data", "finetune"],
    ),
)


def choose_stages(names: Iterable[str] | None) -> list[Stage]:
    """Returns the stages of some names, or all; ValueError for others."""
    known = [stage.name for stage in PIPELINE]
    wanted = known if names is None else list(names)
    for name in wanted:
        check_choice("stages", name, known)
    return [stage for stage in PIPELINE if stage.name in wanted]


def with_needs(stages: Iterable[Stage]) -> list[Stage]:
    """Returns the stages and those whose results they read, in order."""
    wanted = {stage.name for stage in stages}
    for stage in reversed(PIPELINE):
        if stage.name in wanted:
            wanted.update(stage.needs)
    return [stage for stage in PIPELINE if stage.name in wanted]
