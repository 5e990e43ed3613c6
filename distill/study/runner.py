"""Running a study unit by unit, so that it can be stopped at any moment."""

import gc
import json
import shutil
import time
from collections.abc import Callable
from typing import Any

import keras

from distill.checkpoints.checkpoint import newest_checkpoint
from distill.checkpoints.conversion import convert_to_student
from distill.data.files import find_files
from distill.data.pipeline import VideoReader
from distill.evaluation.evaluate import evaluate_network
from distill.networks.loading import load_network
from distill.settings.run_options import RunOptions
from distill.study.plan import Unit, stage_checkpoint
from distill.system.atomic_files import replace_atomically
from distill.training.loop import TrainingRun

_EVALUATION_BATCH = 1024
_NEVER = 10**9
_CHECKPOINT_MINUTES = 3.0


def read_result(unit: Unit) -> dict[str, Any] | None:
    """Returns the result of a unit that is done with these settings."""
    try:
        result = json.loads(unit.result_file.read_text())
    except FileNotFoundError:
        return None
    return result if result["described"] == unit.describe() else None


def run_unit(unit: Unit, say: Callable[[str], None]) -> dict[str, Any] | None:
    """Trains and scores a unit, or goes on where it was stopped.

    What a unit of other settings left in its directory is removed first.

    Args:
      unit: What to run.
      say: Is told what happens beside the training itself.

    Returns:
      Its result: `scores`, by number of frames what
      `evaluation.evaluate_network` returns; `seconds` of training, None if it
      was stopped in between; None if a signal stopped it now.
    """
    start = time.perf_counter()
    is_whole = _prepare(unit, say)
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
        "seconds": seconds if is_whole else None,
        "described": unit.describe(),
    }
    with replace_atomically(unit.result_file) as temporary:
        temporary.write_text(json.dumps(result, indent=1) + "\n")
    return result


def _prepare(unit: Unit, say: Callable[[str], None]) -> bool:
    """Clears what other settings left; returns whether it starts afresh."""
    described = unit.directory / "unit.json"
    if described.exists() and described.read_text() != unit.describe_training():
        say(f"{unit.title}: its settings changed, it starts anew")
        shutil.rmtree(unit.directory)
    is_new = not described.exists()
    if is_new:
        with replace_atomically(described) as temporary:
            temporary.write_text(unit.describe_training())
    return is_new


def _train_stage(unit: Unit, stage: int) -> bool:
    """Trains one stage to its student's file; False if a signal came."""
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
    convert_to_student(newest_checkpoint(train_dir), final)
    # Optimisers and teachers of many runs would fill the disk.
    shutil.rmtree(train_dir)
    return True


def _evaluate(unit: Unit) -> dict[str, dict[str, Any]]:
    """Scores the trained network with each of its budgets."""
    reader = VideoReader(
        unit.stages[-1].data,
        find_files(unit.eval_data_pattern),
        _EVALUATION_BATCH,
    )
    scores = {}
    for k, budget in unit.evaluations.items():
        network = load_network(unit.checkpoint, "student", budget=budget)
        scores[str(k)] = evaluate_network(network, reader)
        keras.backend.clear_session()
    return scores
