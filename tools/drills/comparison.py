"""Compares the results in two directories, without times."""

import io
import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tensorflow as tf

from distill.checkpoints.checkpoint import (
    NETWORK_GROUPS,
    checkpoint_path,
    open_checkpoint,
    read_progress,
    read_settings,
)
from tools.drills.folder import results

# Times, and sizes and digests of exports: the order of their graphs varies. Of
# a SavedModel the floating-point variables are compared; an exported network
# does not use the states of random generators. card.md repeats card.json in
# words.
_IGNORED_KEYS = re.compile(
    r"examples_per_second|share_waiting|milliseconds_at_\d+|seconds|bytes"
    r"|sha256"
)
_VARIABLES = "variables.index"
_IN_ANY_ORDER = (
    "saved_model.pb",
    "fingerprint.pb",
    "variables.data-00000-of-00001",
    "card.md",
)
# Texts that may name their directory.
NAMING = (".json", ".jsonl", ".flags", ".cfg")
# These change during a run; they are compared at its end.
_GROWING = ("best.h5", "log.jsonl", "settings.json")


def find_differences(found: Path, expected: Path) -> list[str]:
    """Describes the differences between two finished directories."""
    ours, theirs = results(found), results(expected)
    lines = [f"{name} is missing" for name in theirs.keys() - ours.keys()]
    lines += [f"{name} is new" for name in ours.keys() - theirs.keys()]
    for name in ours.keys() & theirs.keys():
        content = read_content(ours[name], found)
        if content != read_content(theirs[name], expected):
            lines.append(f"{name} differs")
    return sorted(lines)


def find_broken(found: Path, expected: Path) -> list[str]:
    """Describes the files that a kill left broken under a final name.

    A checkpoint must hold the variables of the undisturbed run after the same
    step; so must the best weights so far. (The progress is not compared: a run
    writes it twice after the last step of an epoch, before and after
    validation.) Any other file must be complete or missing.
    """
    lines = []
    for name, path in results(found).items():
        try:
            if path.name == "best.h5" or path.name.startswith("checkpoint-"):
                good = _has_variables_of_its_step(path, expected)
            elif path.name in _GROWING:
                good = path.suffix != ".json" or bool(
                    json.loads(path.read_text())
                )
            else:
                same = expected / name
                good = same.exists() and (
                    read_content(path, found) == read_content(same, expected)
                )
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            lines.append(f"{name} cannot be read: {error}")
            continue
        if not good:
            lines.append(f"{name} is not that of the undisturbed run")
    return lines


def _has_variables_of_its_step(path: Path, expected: Path) -> bool:
    """Compares a checkpoint with the undisturbed run after the same step."""
    read_settings(path)
    step = read_progress(path)["step"]
    held = _variables(path)
    wanted = _variables(checkpoint_path(expected, step))
    if path.name == "best.h5":
        wanted = {
            name: value
            for name, value in wanted.items()
            if name.split("/")[0] in NETWORK_GROUPS
        }
    return held == wanted


def _variables(path: Path) -> dict[str, tuple]:
    content = _read_hdf5(path)
    return {name: content[name] for name in content if name[0] != "@"}


def read_content(path: Path, directory: Path) -> Any:
    """Returns the content to compare, without the directory's name."""
    if path.suffix == ".h5":
        with open_checkpoint(path):
            return _read_hdf5(path)
    if path.name in _IN_ANY_ORDER:
        return path.stat().st_size > 0
    if path.name == _VARIABLES:
        reader = tf.train.load_checkpoint(str(path.with_suffix("")))
        types = reader.get_variable_to_dtype_map()
        names = [name for name in types if types[name].is_floating]
        return {name: reader.get_tensor(name).tobytes() for name in names}
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            return _read_hdf5(io.BytesIO(archive.read("model.weights.h5")))
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            return {name: arrays[name].tobytes() for name in arrays}
    if path.suffix not in NAMING:
        return path.read_bytes()
    text = path.read_text().replace(str(directory), "")
    if path.suffix not in (".json", ".jsonl"):
        return text
    texts = [text] if path.suffix == ".json" else text.splitlines()
    return [_without_times(json.loads(text)) for text in texts]


def _read_hdf5(file: Path | io.BytesIO) -> dict[str, tuple]:
    """Returns every dataset's type, shape and bytes, and the attributes."""
    content: dict[str, tuple] = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset):
            values = item[()]
            content[name] = (str(item.dtype), item.shape, values.tobytes())

    with h5py.File(file, "r") as opened:
        opened.visititems(visit)
        for name, value in opened.attrs.items():
            content[f"@{name}"] = (str(value),)
    return content


def _without_times(value: Any) -> Any:
    """Returns parsed JSON without times and sizes."""
    if isinstance(value, Mapping):
        return {
            name: _without_times(inner)
            for name, inner in value.items()
            if not _IGNORED_KEYS.fullmatch(name)
        }
    if isinstance(value, list):
        return [_without_times(inner) for inner in value]
    return value
