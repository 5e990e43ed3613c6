"""The stages to drill: the pipeline on small data."""

import dataclasses
import shlex
from collections.abc import Iterable
from pathlib import Path

from distill.models.argument_checks import check_choice


@dataclasses.dataclass(frozen=True)
class Command:
    """A command line of `distill`.

    Attributes:
      words: The verb and its flags, as a shell reads them. `{out}` stands for
        the stage's own directory, `{from}` for the directory of the
        undisturbed runs, which holds a directory for each stage by name, and
        for the `inputs` that no stage makes.
    """

    words: str

    def fill(self, out: Path, undisturbed: Path) -> list[str]:
        """Returns the verb and the flags with the directories filled in."""
        places = {"out": out, "from": undisturbed}
        return [word.format(**places) for word in shlex.split(self.words)]


@dataclasses.dataclass(frozen=True)
class Stage:
    """A stage of the pipeline.

    Attributes:
      name: The stage's name.
      commands: Concurrent processes that make its result; one is killed.
      needs: Names of the stages whose results it reads.
      are_workers: The processes are workers of one run, which end when one
        is lost; otherwise they do not depend on one another.
    """

    name: str
    commands: tuple[Command, ...]
    needs: tuple[str, ...] = ()
    are_workers: bool = False


def _stage(name: str, *words: str, needs: Iterable[str] = ()) -> Stage:
    return Stage(name, (Command(" ".join(words)),), tuple(needs))


_LAYOUT = "--feature_sizes=12,4 --num_classes=8 --max_frames=20"
_TRAINING_RUN = (
    f"{_LAYOUT} --train_data_pattern={{from}}/data/train-*.tfrecord "
    "--train_dir={out} --gpu=-1 --batch_size=16 --seed=3 "
    "--shuffle_buffer_size=20 --log_every_steps=1 --checkpoint_every_steps=1 "
    "--keep_checkpoints=0"
)
_TRAINING = (
    f"{_TRAINING_RUN} --model=PooledNetworkModel --hidden_sizes=6 "
    "--every_n=4 --dropout=0.3"
)
_SCORING = "--gpu=-1 --eval_data_pattern={from}/data/validate-*.tfrecord"
_INFERENCE = f"{_SCORING} --checkpoint={{from}}/finetune/best.h5"
_BOTH = (
    "--predictions={from}/infer/predictions.csv,"
    "{from}/ensemble_predictions/predictions.csv"
)
_LABELS = "--labels={from}/labels/labels.csv"

PIPELINE = (
    _stage(
        "data",
        f"make_synthetic_data {_LAYOUT} --output_dir={{out}} --num_shards=6",
        "--num_train_videos=40 --num_validate_videos=24",
    ),
    _stage("train", "train", _TRAINING, "--num_epochs=3", needs=["data"]),
    Stage(
        "workers",
        (Command(f"train {_TRAINING} --num_epochs=2"),) * 2,
        ("data",),
        are_workers=True,
    ),
    _stage(
        "convert",
        "convert --checkpoint={from}/train/checkpoint-00000009.h5",
        "--student_checkpoint={out}/student.h5",
        needs=["train"],
    ),
    _stage(
        "finetune",
        f"finetune {_SCORING} {_TRAINING} --num_epochs=3",
        "--student_checkpoint={from}/convert/student.h5",
        needs=["data", "convert"],
    ),
    _stage(
        "average",
        "average_checkpoints --train_dir={from}/train --last=4",
        "--output_checkpoint={out}/mean.h5",
        needs=["train"],
    ),
    _stage(
        "evaluate",
        f"evaluate {_SCORING} --checkpoint={{from}}/average/mean.h5",
        "--role=both --metrics_file={out}/metrics.json",
        needs=["data", "average"],
    ),
    _stage(
        "infer",
        f"infer {_INFERENCE} --output_file={{out}}/predictions.csv",
        needs=["data", "finetune"],
    ),
    Stage(
        "infer_files",
        tuple(
            Command(f"infer {_INFERENCE} --output_dir={{out}} --shard={i},2")
            for i in range(2)
        ),
        ("data", "finetune"),
    ),
    _stage(
        "export",
        f"export {_INFERENCE} --export_dir={{out}}/export",
        "--formats=saved_model,keras --precisions=float32",
        needs=["data", "finetune"],
    ),
    _stage(
        "autoencoder",
        f"train_autoencoder {_TRAINING_RUN} --encoder_sizes=6,4 --num_epochs=1",
        needs=["data"],
    ),
    _stage(
        "pack",
        "pack --input={from}/inputs/arrays.h5 --output_dir={out}/packed",
        "--num_shards=2 --validate_fraction=0.3",
    ),
    _stage(
        "budget_shards",
        f"write_budget_shards {_LAYOUT} --output_dir={{out}} --every_n=4",
        "--input_data_pattern={from}/data/validate-*.tfrecord",
        needs=["data"],
    ),
    _stage(
        "join",
        f"join_clips {_LAYOUT} --output_dir={{out}} --output_prefix=train",
        "--input_data_pattern={from}/data/train-*.tfrecord --num_clips=2",
        needs=["data"],
    ),
    _stage(
        "check",
        f"check_data {_LAYOUT} --output_dir={{out}}/report --num_processes=1",
        "--train_data_pattern={from}/data/train-*.tfrecord",
        needs=["data"],
    ),
    _stage(
        "labels",
        f"write_labels {_LAYOUT} --output_file={{out}}/labels.csv",
        "--input_data_pattern={from}/data/validate-*.tfrecord",
        needs=["data"],
    ),
    _stage(
        "ensemble",
        f"ensemble {_SCORING} --ensemble_file={{out}}/ensemble.json",
        "--checkpoints={from}/finetune/best.h5,{from}/convert/student.h5",
        "--search_weights --metrics_file={out}/metrics.json",
        needs=["data", "convert", "finetune"],
    ),
    _stage(
        "ensemble_predictions",
        f"infer {_SCORING} --checkpoint={{from}}/ensemble/ensemble.json",
        "--output_file={out}/predictions.csv",
        needs=["data", "ensemble"],
    ),
    _stage(
        "cascade",
        "calibrate_cascade --checkpoint={from}/finetune/best.h5 --gpu=-1",
        "--calibration_data_pattern={from}/data/validate-*.tfrecord",
        "--cascade_file={out}/cascade.json --cascade_budgets=1,3",
        "--mean_frames=2",
        needs=["data", "finetune"],
    ),
    _stage(
        "fit",
        f"fit_weights {_BOTH} {_LABELS}",
        "--output_file={out}/weights.json --metrics_file={out}/metrics.json",
        needs=["labels", "infer", "ensemble_predictions"],
    ),
    _stage(
        "combine",
        f"average_predictions {_BOTH} --output_file={{out}}/mean.csv",
        "--fitted={from}/fit/weights.json --allow_fitted_videos",
        needs=["fit"],
    ),
    _stage(
        "score",
        f"score_predictions {_LABELS} --metrics_file={{out}}/metrics.json",
        "--predictions={from}/infer/predictions.csv",
        needs=["labels", "infer"],
    ),
    _stage(
        "json_lines",
        "convert_predictions --predictions={from}/inputs/predictions.jsonl",
        "--output_file={out}/converted.csv",
    ),
    Stage(
        "segments",
        tuple(
            Command(
                f"infer {_INFERENCE} --segment_labels --output_file="
                f"{{out}}/segments_{i}.csv --shard={i},2"
            )
            for i in range(2)
        ),
        ("data", "finetune"),
    ),
    _stage(
        "merge",
        "merge_segments --predictions={from}/segments/segments_*.csv",
        "--output_file={out}/segments.csv",
        needs=["segments"],
    ),
)


def choose_stages(names: Iterable[str] | None) -> list[Stage]:
    """Returns the stages of the given names, in order; all for None.

    Raises:
      ValueError: There is no stage of a name.
    """
    known = [stage.name for stage in PIPELINE]
    wanted = known if names is None else list(names)
    for name in wanted:
        check_choice("stages", name, known)
    return [stage for stage in PIPELINE if stage.name in wanted]


def with_needs(stages: Iterable[Stage]) -> list[Stage]:
    """Returns the stages and all stages that they need, in order."""
    wanted = {stage.name for stage in stages}
    for stage in reversed(PIPELINE):
        if stage.name in wanted:
            wanted.update(stage.needs)
    return [stage for stage in PIPELINE if stage.name in wanted]
