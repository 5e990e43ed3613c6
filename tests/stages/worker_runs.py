"""Runs of one process as well as of several workers."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import stage_runs

from distill.checkpoints.checkpoint import require_checkpoints
from distill.distributed.workers import Workers
from distill.evaluation.evaluate import evaluate_checkpoint, predict_videos
from distill.evaluation.inference import write_shared_predictions
from distill.evaluation.shared_reading import SharedReading
from distill.networks.loading import load_network
from distill.settings.run import NetworkSettings, RunSettings
from distill.settings.run_options import RunOptions
from distill.training.loop import TrainingRun


def _joint(videos: Path, **training: Any) -> RunSettings:
    settings = stage_runs.joint_settings(
        videos, mixup=0.3, ema_half_life=4.0, num_epochs=2, **training
    )
    return dataclasses.replace(
        settings,
        teacher=_change(settings.teacher, input_batch_norm=False),
        student=_change(settings.student, input_batch_norm=False),
    )


def _student(videos: Path, **training: Any) -> RunSettings:
    settings = stage_runs.student_settings(videos, num_epochs=2, **training)
    student = _change(settings.student, input_batch_norm=False)
    return dataclasses.replace(settings, student=student)


def _batch_norm(videos: Path, **training: Any) -> RunSettings:
    """Returns a student with batch statistics and without dropout."""
    settings = _student(videos, optimizer="SGD", **training)
    student = _change(
        settings.student, input_batch_norm=True, dropout=0.0, input_dropout=0.0
    )
    return dataclasses.replace(settings, student=student)


def _change(network: NetworkSettings, **arguments: Any) -> NetworkSettings:
    return dataclasses.replace(network, arguments=network.arguments | arguments)


# Settings and `shard_by`, by name.
RUNS = {
    "joint": (_joint, "batch"),
    "finetuned": (_student, "batch"),
    "batch_norm": (_batch_norm, "batch"),
    "files": (_student, "file"),
}


def train(
    name: str,
    videos: Path,
    directory: Path,
    workers: Workers | None = None,
    accumulate_steps: int = 1,
) -> None:
    """Trains one of the runs; `finetuned` begins with `joint`'s student."""
    make_settings, shard_by = RUNS[name]
    settings = make_settings(videos, accumulate_steps=accumulate_steps)
    if name == "finetuned":
        checkpoint = str(require_checkpoints(directory / "joint")[-1])
        settings = dataclasses.replace(settings, initial_checkpoint=checkpoint)
    pattern = f"{videos}/validate-*.tfrecord"
    validation = name in ("finetuned", "files")
    options = RunOptions(
        str(directory / name),
        shard_by=shard_by,
        eval_data_pattern=pattern if validation else None,
        checkpoint_every_steps=2 if shard_by == "file" else 0,
        keep_checkpoints=0,
    )
    assert TrainingRun(settings, options, workers=workers).train()


def score(
    run: Path, videos: Path, workers: Workers, shard_by: str
) -> dict[str, Any]:
    """Returns the scores of a run's newest checkpoint."""
    scores = evaluate_checkpoint(
        require_checkpoints(run)[-1],
        "student",
        stage_runs.validation_reader(videos, batch_size=7),
        sharing=SharedReading(workers, shard_by == "batch"),
    )
    return json.loads(json.dumps(scores))


def predict(
    run: Path, videos: Path, directory: Path, workers: Workers, shard_by: str
) -> None:
    """Writes the predictions of a run's newest checkpoint as CSV."""
    with workers.scope():
        network = load_network(require_checkpoints(run)[-1], "student")
    sharing = SharedReading(workers, shard_by == "batch")
    reader = stage_runs.validation_reader(videos, batch_size=7)
    path = directory / f"predictions-{shard_by}.csv"
    batches = predict_videos(network, reader, sharing)
    for _ in write_shared_predictions(path, batches, 5, sharing, reader):
        pass
