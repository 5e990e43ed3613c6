"""Small videos, settings and runs that the tests of the stages share.

A run takes place in the test's own process (`train_in_process`) or as a user
starts it (`run_script`).
"""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forked_scripts import run_in_fork, run_without_tensorflow

from distill.data.files import find_files
from distill.data.pipeline import VideoReader
from distill.deployment.artifacts import choose_kinds
from distill.deployment.export import Export
from distill.evaluation.evaluate import predict_videos
from distill.models import registry
from distill.models.frame_budget import ALL_FRAMES, FrameBudget
from distill.networks.network import Network
from distill.settings.class_names import numbered_classes
from distill.settings.run import NetworkSettings, RunSettings
from distill.settings.run_options import RunOptions
from distill.settings.schema import DataSchema
from distill.settings.training import DistillationSettings, TrainingSettings
from distill.training.loop import TrainingRun
from tests.hang_guard import HANG_SECONDS

ROOT = Path(__file__).resolve().parents[2]
FEATURE_SIZES = (12, 4)
NUM_CLASSES = 10
MAX_FRAMES = 40
NUM_TRAIN_VIDEOS = 72
NUM_VALIDATE_VIDEOS = 40
BATCH_SIZE = 16
STEPS_PER_EPOCH = 5  # the last one of 8 videos
LSTM_CELLS = 6
# A driver: the script fails if it imports TensorFlow or Keras.
NO_TENSORFLOW = "import sys; sys.modules.update(tensorflow=None, keras=None)"
DATA_FLAGS = {
    "feature_sizes": ",".join(map(str, FEATURE_SIZES)),
    "num_classes": NUM_CLASSES,
    "max_frames": MAX_FRAMES,
}

_SIZES = {
    "lstm_cells": LSTM_CELLS,
    "lstm_layers": 1,
    "dropout": 0.3,
    "input_dropout": 0.1,
    "input_batch_norm": True,
}
_SIGNS_OF_A_TRACE = ("Traceback", 'File "')


def frame_schema() -> DataSchema:
    """Returns the layout of the synthetic videos."""
    return DataSchema(
        frame_features=True,
        feature_names=("rgb", "audio"),
        feature_sizes=FEATURE_SIZES,
        id_key="id",
        labels_key="labels",
        num_classes=NUM_CLASSES,
        max_frames=MAX_FRAMES,
    )


def video_schema() -> DataSchema:
    """Returns the layout of the video-level records."""
    return dataclasses.replace(
        frame_schema(),
        frame_features=False,
        feature_names=("mean_rgb", "mean_audio"),
    )


def validation_reader(
    videos: Path,
    schema: DataSchema | None = None,
    batch_size: int = BATCH_SIZE,
    **options: Any,
) -> VideoReader:
    """Returns a reader of the validation videos of a directory."""
    files = find_files(f"{videos}/validate-*.tfrecord")
    return VideoReader(schema or frame_schema(), files, batch_size, **options)


def joint_settings(videos: Path, **training: Any) -> RunSettings:
    """Returns a teacher of all frames and a student of every fourth."""
    return RunSettings(
        data=frame_schema(),
        student=NetworkSettings(
            "HierarchicalLstmModel", _sizes(2), FrameBudget.every(4)
        ),
        training=_training(videos, training),
        teacher=NetworkSettings("HierarchicalLstmModel", _sizes(5)),
        distillation=DistillationSettings(
            representation_loss_weight=0.1, prediction_loss_weight=1.0
        ),
    )


def student_settings(videos: Path, **training: Any) -> RunSettings:
    """Returns the same student on labels alone."""
    return dataclasses.replace(
        joint_settings(videos, **training), teacher=None, distillation=None
    )


def logistic_settings(
    videos: Path, budget: FrameBudget, **training: Any
) -> RunSettings:
    """Returns an epoch of a logistic model of the frames."""
    name = "FrameLevelLogisticModel"
    arguments = registry.resolve_arguments(name, {})
    return dataclasses.replace(
        student_settings(videos, num_epochs=1, **training),
        student=NetworkSettings(name, arguments, budget),
    )


def pooled(budget: FrameBudget = ALL_FRAMES) -> NetworkSettings:
    """Returns a small network that is traced at once."""
    name = "PooledNetworkModel"
    sizes = {"hidden_sizes": "6", "dropout": 0.3}
    return NetworkSettings(
        name, registry.resolve_arguments(name, sizes), budget
    )


def pooled_settings(videos: Path, **training: Any) -> RunSettings:
    """Returns a joint run of two such networks, which trains fast."""
    return dataclasses.replace(
        joint_settings(videos, **training),
        teacher=pooled(),
        student=pooled(FrameBudget.every(4)),
    )


def video_level_settings(
    videos: Path, model: str = "LogisticModel", **training: Any
) -> RunSettings:
    """Returns a classifier of the video-level records, which trains fast."""
    arguments = {
        "LogisticModel": {"logistic_l2": 1e-6},
        "MoeModel": {"moe_num_mixtures": 2, "moe_l2": 1e-6},
    }
    return RunSettings(
        data=video_schema(),
        student=NetworkSettings(model, arguments[model]),
        training=_training(videos, training),
    )


def _sizes(num_blocks: int) -> dict[str, Any]:
    sizes = _SIZES | {
        "num_inputs_to_lstm": num_blocks,
        "video_level_classifier_model": "MoeModel",
        "moe_num_mixtures": 2,
        "moe_l2": 1e-6,
    }
    return registry.resolve_arguments("HierarchicalLstmModel", sizes)


def _training(videos: Path, changes: dict[str, Any]) -> TrainingSettings:
    fields = {
        "train_data_pattern": f"{videos}/train-*.tfrecord",
        "batch_size": BATCH_SIZE,
        "num_epochs": 3,
        "base_learning_rate": 0.02,
        "learning_rate_decay": 0.9,
        "learning_rate_decay_examples": 100,
        "shuffle_buffer_size": 32,
        "seed": 5,
    }
    return TrainingSettings(**fields | changes)


def train_in_process(
    settings: RunSettings, train_dir: Path, **options: Any
) -> TrainingRun:
    """Trains to the end; the options are fields of `RunOptions`."""
    run = TrainingRun(settings, RunOptions(str(train_dir), **options))
    assert run.train()
    return run


def call_at_step(
    monkeypatch: pytest.MonkeyPatch,
    run: TrainingRun,
    step: int,
    action: Callable[[], Any],
) -> None:
    """Lets a run call `action` before the step after `step`."""
    train_step = run.trainer.step

    def act_and_train(*arguments):
        if run.progress.step == step:
            action()
        return train_step(*arguments)

    monkeypatch.setattr(run.trainer, "step", act_and_train)


def predict_all(
    network: Network, reader: VideoReader
) -> tuple[list[str], np.ndarray]:
    """Returns the ids and the predictions of every video."""
    batches = list(predict_videos(network, reader))
    ids = [video_id for batch in batches for video_id in batch.ids]
    return ids, np.concatenate([batch.predictions for batch in batches])


def write_export(
    checkpoint: Path,
    network: Network,
    reader: VideoReader,
    directory: Path,
    formats: list[str],
    num_classes: int = NUM_CLASSES,
) -> Path:
    """Exports a student in float32 and returns the directory."""
    names = numbered_classes(num_classes)
    files = "validate-*.tfrecord"
    export = Export(str(checkpoint), "student", network, reader, files, names)
    list(export.write(directory, choose_kinds(formats, ["float32"])))
    return directory


def network_flags() -> list[str]:
    """Returns the flags of the data and of `joint_settings`' networks."""
    flags = _SIZES | {
        **DATA_FLAGS,
        "num_inputs_to_lstm": 5,
        "student_num_inputs_to_lstm": 2,
        "every_n": 4,
        "representation_loss_weight": 0.1,
        "prediction_loss_weight": 1,
        "gpu": -1,
    }
    return to_flags(flags)


def training_flags(videos: Path) -> list[str]:
    """Returns the flags of the training settings of these tests."""
    fields = dataclasses.asdict(_training(videos, {"seed": 5}))
    return to_flags({k: v for k, v in fields.items() if v is not None})


def video_level_flags(videos: Path) -> list[str]:
    """Returns the flags of the video-level records."""
    flags = {
        "train_data_pattern": f"{videos}/train-*.tfrecord",
        "eval_data_pattern": f"{videos}/validate-*.tfrecord",
        "frame_features": "false",
        "feature_names": "mean_rgb,mean_audio",
        "feature_sizes": ",".join(map(str, FEATURE_SIZES)),
        "num_classes": NUM_CLASSES,
        "batch_size": BATCH_SIZE,
        "gpu": -1,
    }
    return to_flags(flags)


def to_flags(values: dict[str, Any]) -> list[str]:
    """Returns `--name=value` for every entry."""
    return [f"--{name}={value}" for name, value in values.items()]


def start_script(
    name: str, *flags: str, driver: str = "", **kwargs: Any
) -> subprocess.Popen:
    """Starts `python -m distill NAME`, or `python -m NAME` of `tools.NAME`.

    The driver is Python code that runs before, in the same process. The output
    is captured by default.
    """
    is_tool = name.startswith("tools.")
    module, words = (name, flags) if is_tool else ("distill", (name, *flags))
    command = [sys.executable, "-m", module, *words]
    if driver:
        code = (
            f"{driver}\nimport runpy\n"
            f"runpy.run_module('{module}', {{}}, '__main__', True)\n"
        )
        command = [sys.executable, "-c", code, *words]
    pipe = subprocess.PIPE
    options = {"stdout": pipe, "stderr": pipe, "text": True, "cwd": ROOT}
    options["env"] = _environment()
    return subprocess.Popen(command, **options | kwargs)


def _environment() -> dict[str, str]:
    return {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"}


def run_script(
    name: str,
    *flags: str,
    driver: str = "",
    status: int | None = 0,
) -> subprocess.CompletedProcess:
    """Runs an entry point to its end and checks its exit status.

    The status is minus a signal's number for a killed process; None for any.
    """
    runs = {"": run_in_fork, NO_TENSORFLOW: run_without_tensorflow}
    if driver in runs and not name.startswith("tools."):
        words = [name, *map(str, flags)]
        done = runs[driver](words, ROOT, _environment())
        assert status in (None, done.returncode), done.stdout + done.stderr
        return done
    with start_script(name, *flags, driver=driver) as process:
        try:
            output, errors = process.communicate(timeout=HANG_SECONDS)
        except BaseException:
            process.kill()
            raise
    done = subprocess.CompletedProcess(
        process.args, process.returncode, output, errors
    )
    assert status in (None, done.returncode), output + errors
    return done


def run_python(code: str, *arguments: Any, cwd: Path = ROOT) -> str:
    """Runs code in a new process; returns its standard output."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def error_line(done: subprocess.CompletedProcess) -> str:
    """Returns the one line that a failed script wrote to standard error."""
    assert done.returncode == 1
    text = done.stdout + done.stderr
    assert not any(sign in text for sign in _SIGNS_OF_A_TRACE), text
    (line,) = done.stderr.splitlines()
    assert line.startswith("ERROR: ")
    return line
