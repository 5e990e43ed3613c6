"""Running a unit of a study, which can be stopped at any moment."""

import gc
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from distill.checkpoints.checkpoint import require_checkpoints
from distill.checkpoints.conversion import convert
from distill.data.files import find_files
from distill.data.pipeline import VideoReader
from distill.evaluation.evaluate import evaluate_network
from distill.networks.loading import load_network
from distill.settings.run_options import RunOptions
from distill.settings.schema import DataSchema
from distill.study.plan import Unit, stage_checkpoint
from distill.system.atomic_files import replace_atomically
from distill.system.storage import remove_directory
from distill.training.loop import TrainingRun

EVALUATION_BATCH = 1024
_NEVER = 10**9
# It exists once a unit is done.
_RESULT = "result.json"
_CHECKPOINT_MINUTES = 3.0


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file, whole or not at all."""
    with replace_atomically(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n")


def read_result(unit: Unit) -> dict[str, Any] | None:
    """Returns the result of a unit; None unless these settings are done."""
    try:
        result = json.loads((unit.directory / _RESULT).read_text())
    except FileNotFoundError:
        return None
    return result if result["described"] == unit.describe() else None


def run_unit(unit: Unit, say: Callable[[str], None]) -> dict[str, Any] | None:
    """Trains and scores a unit, or resumes it.

    Files of a unit with other settings are removed from its directory first;
    then `say` is called with a message.

    Returns:
      Dict of `scores`, the result of `evaluate_network` by number of frames,
      `seconds` of training, None for a resumed one, and `evaluation_seconds`;
      or None if a signal stopped the training.
    """
    start = time.perf_counter()
    is_new = _prepare(unit, say)
    for stage in range(len(unit.stages)):
        if not _train_stage(unit, stage):
            return None
    seconds = time.perf_counter() - start
    scores = _evaluate(unit)
    result = {
        "row": unit.row,
        "budget": unit.budget,
        "seed": unit.seed,
        "scores": scores,
        "seconds": seconds if is_new else None,
        "evaluation_seconds": time.perf_counter() - start - seconds,
        "described": unit.describe(),
    }
    write_json(unit.directory / _RESULT, result)
    return result


def _prepare(unit: Unit, say: Callable[[str], None]) -> bool:
    """Removes files of other settings; returns whether the unit is new."""
    described = unit.directory / "unit.json"
    if described.exists() and described.read_text() != unit.describe_training():
        say(f"{unit.title}: its settings have changed; it starts anew")
        remove_directory(unit.directory)
    is_new = not described.exists()
    if is_new:
        with replace_atomically(described) as temporary:
            temporary.write_text(unit.describe_training())
    return is_new


def _train_stage(unit: Unit, stage: int) -> bool:
    """Trains one stage to its student's file; False after a signal."""
    final = stage_checkpoint(unit.directory, stage)
    if final.exists():
        return True
    train_dir = unit.directory / f"stage{stage}"
    options = RunOptions(
        str(train_dir),
        log_every_steps=_NEVER,
        checkpoint_every_minutes=_CHECKPOINT_MINUTES,
        checkpoint_every_epoch=False,
        keep_checkpoints=1,
        quiet=True,
    )
    run = TrainingRun(unit.stages[stage], options)
    try:
        if not run.train():
            return False
    finally:
        del run
        keras.backend.clear_session()
        gc.collect()
    convert(require_checkpoints(train_dir)[-1], final)
    # The checkpoints of many runs would fill the disk.
    remove_directory(train_dir)
    return True


def read_videos(schema: DataSchema, pattern: str) -> VideoReader:
    """Returns a reader of videos that are to be scored."""
    return VideoReader(schema, find_files(pattern), EVALUATION_BATCH)


def _evaluate(unit: Unit) -> dict[str, dict[str, Any]]:
    reader = read_videos(unit.stages[-1].data, unit.eval_data_pattern)
    scores = {}
    for k, budget in unit.evaluations.items():
        network: Any = load_network(unit.checkpoint, "student", budget=budget)
        scores[str(k)] = evaluate_network(network, reader)
        keras.backend.clear_session()
    return scores
