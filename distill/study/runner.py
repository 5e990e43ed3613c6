"""Running a unit of a study, which can be stopped at any moment."""

import dataclasses
import functools
import gc
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from distill.checkpoints.checkpoint import require_checkpoints
from distill.checkpoints.conversion import convert
from distill.checkpoints.inputs import FileList
from distill.data.files import file_size, find_files, name_of
from distill.data.pipeline import VideoReader
from distill.evaluation.evaluate import evaluate_network
from distill.networks.loading import load_network
from distill.settings.run_options import RunOptions
from distill.settings.schema import DataSchema
from distill.study.plan import Unit, stage_checkpoint
from distill.system.atomic_files import replace_atomically
from distill.system.digests import path_hash
from distill.system.named_reads import read_text
from distill.system.small_files import read_json_object
from distill.system.storage import remove_directory, to_path
from distill.training.loop import TrainingRun

EVALUATION_BATCH = 1024
_NEVER = 10**9
# It exists once a unit is done.
_RESULT = "result.json"
_INPUTS = "inputs.json"
# Entries of the inputs on which the weights depend.
_OF_TRAINING = ("training files", "teachers")
_CHECKPOINT_MINUTES = 3.0
_MOST_BYTES = 100_000_000


def write_json(path: Path, value: Any) -> None:
    """Writes a JSON file, whole or not at all."""
    with replace_atomically(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1) + "\n")


def read_json(path: Path, *fields: str) -> dict[str, Any]:
    """Returns the object of a file that `write_json` wrote.

    Raises:
      FileNotFoundError: There is no such file.
      ValueError: It is damaged, or lacks one of the fields.
    """
    try:
        value = read_json_object(path, _MOST_BYTES)
        for field in fields:
            if field not in value:
                raise ValueError(f"the field {field} is missing")
    except ValueError as error:
        raise ValueError(
            f"{path} is damaged: {error}. Remove it: the study makes it again."
        ) from error
    return value


def describe_inputs(unit: Unit) -> dict[str, Any]:
    """Returns the files on which a unit's result depends, as JSON values.

    Of data these are the names without folders, and the sizes; of teachers
    that are trained already the SHA-256.
    """
    patterns = {s.training.train_data_pattern for s in unit.stages}
    teachers = [to_path(file) for file in sorted(unit.teacher_files)]
    return {
        "training files": [list_data(p) for p in sorted(patterns)],
        "validation files": [list_data(unit.eval_data_pattern)],
        "teachers": [
            _hash_file(path, path.stat().st_size, path.stat().st_mtime)
            for path in teachers
            if path.is_file()
        ],
    }


@functools.lru_cache
def list_data(pattern: str) -> dict[str, Any]:
    """Returns what a `FileList` says of data files, noted once a process."""
    sizes = [(name_of(file), file_size(file)) for file in find_files(pattern)]
    return dataclasses.asdict(FileList.of(sizes))


@functools.lru_cache
def _hash_file(path: Path, size: int, changed: float) -> str:
    """Returns the SHA-256 of a file as it was at a time."""
    return path_hash(path)


def has_same_inputs(
    result: dict[str, Any], describe: Callable[[], dict[str, Any]]
) -> bool:
    """Returns whether a result is not known to be of other files.

    Results of earlier versions do not say what they were made of, and data
    that are gone take no result with them. `describe` returns what the files
    of now are, or raises a ValueError.
    """
    old = result.get("inputs")
    try:
        return old is None or old == describe()
    except ValueError:
        return True


def read_result(unit: Unit) -> dict[str, Any] | None:
    """Returns a unit's result; None unless it is of these settings and files.

    Data files that are gone are not missed.
    """
    try:
        result = read_json(unit.directory / _RESULT, "described")
    except FileNotFoundError:
        return None
    if result["described"] != unit.describe():
        return None
    is_same = has_same_inputs(result, lambda: describe_inputs(unit))
    return result if is_same else None


def run_unit(unit: Unit, say: Callable[[str], None]) -> dict[str, Any] | None:
    """Trains and scores a unit, or resumes it.

    Files of a unit with other settings are removed from its directory first;
    then `say` is called with a message.

    Returns:
      Dict of `scores`, the result of `evaluate_network` by number of frames,
      `seconds` of training, None for a resumed one, and `evaluation_seconds`;
      or None if a signal stopped the training.
    """
    done = read_result(unit)
    if done is not None:
        # Its teachers were trained again, and are the same.
        return done
    start = time.perf_counter()
    inputs = describe_inputs(unit)
    is_new = _prepare(unit, inputs, say)
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
        "inputs": inputs,
    }
    write_json(unit.directory / _RESULT, result)
    return result


def _prepare(
    unit: Unit, inputs: dict[str, Any], say: Callable[[str], None]
) -> bool:
    """Removes files of other settings; returns whether the unit is new."""
    described = unit.directory / "unit.json"
    noted = unit.directory / _INPUTS
    if described.exists():
        what = ""
        if read_text(described) != unit.describe_training():
            what = "settings"
        elif noted.exists():
            old = read_json(noted)
            changed = [n for n in _OF_TRAINING if old.get(n) != inputs[n]]
            what = " and ".join(changed)
        if what:
            say(f"{unit.title}: its {what} have changed; it starts anew")
            remove_directory(unit.directory)
    is_new = not described.exists()
    if is_new:
        write_json(noted, inputs)
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
