"""The files of a run, and what has become of them when it goes on.

The order of the batches follows from the seed, the epoch and the list of the
training files, so a position within an epoch means nothing in another list.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from distill.checkpoints.inputs import (
    FileList,
    Measure,
    NamesAndSizes,
    RunInputs,
)
from distill.data.files import name_of
from distill.data.pipeline import VideoReader
from distill.settings.run import RunSettings
from distill.system.atomic_files import replace_atomically
from distill.system.digests import path_hash
from distill.system.small_files import read_json_object
from distill.system.storage import to_path

INPUTS_NAME = "inputs.json"
# Some ten bytes a file.
_MOST_LISTED_BYTES = 100_000_000
_NAMES_SHOWN = 3
# Settings of files whose other contents make another run.
_FIXED_FILES = (
    "initial_checkpoint",
    "encoder_checkpoint",
    "teacher_checkpoints",
)


def setting_files(settings: RunSettings) -> dict[str, str]:
    """Returns the files, other than data, that settings name, by setting."""
    training = settings.training
    teachers = enumerate(settings.teacher_checkpoints)
    files = {f"teacher_checkpoints[{n}]": file for n, file in teachers} | {
        "initial_checkpoint": settings.initial_checkpoint,
        "encoder_checkpoint": settings.encoder_checkpoint,
        "training.class_weights_file": training.class_weights_file,
        "training.positive_class_weights_file": (
            training.positive_class_weights_file
        ),
    }
    return {name: file for name, file in files.items() if file is not None}


class RunFiles:
    """The files of a run as they are now.

    Args:
      settings: The run's settings.
      train_reader: Reads its training data.
      validation: Reads the videos that it is scored on, if any.
      top_k: Classes a video in the score.

    Attributes:
      train: Names and sizes of the training files.
      validation: Those of the validation files, if any.
      inputs: What a checkpoint says of all files.
    """

    def __init__(
        self,
        settings: RunSettings,
        train_reader: VideoReader,
        validation: VideoReader | None,
        top_k: int,
    ):
        self._files = setting_files(settings)
        self.train = _names_and_sizes(train_reader)
        self.validation: NamesAndSizes = []
        measure = None
        if validation is not None:
            self.validation = _names_and_sizes(validation)
            measure = Measure(
                FileList.of(self.validation), top_k, validation.min_frames
            )
        self.inputs = RunInputs(
            FileList.of(self.train),
            {
                name: path_hash(file)
                for name, file in self._files.items()
                # Initial weights are read once: their file may be gone.
                if to_path(file).is_file()
            },
            measure,
        )

    def write(self, directory: Path) -> None:
        """Writes the names and sizes of all files to a run's directory."""
        listed = {
            "train_files": self.train,
            "validation_files": self.validation,
            "sha256": self.inputs.digests,
        }
        with replace_atomically(directory / INPUTS_NAME) as temporary:
            temporary.write_text(json.dumps(listed, indent=1) + "\n")

    def continue_from(self, old: RunInputs) -> None:
        """Keeps the digests of files that are gone, and the last measure."""
        self.inputs = RunInputs(
            self.inputs.train_files,
            {**old.digests, **self.inputs.digests},
            self.inputs.measure or old.measure,
        )

    def same_settings(self, old: RunInputs) -> set[str]:
        """Returns the settings whose files hold what they held before.

        Their names may be others.
        """
        new = self.inputs.digests
        return {
            setting
            for setting in map(_setting_of, new)
            if _of_setting(setting, old.digests) == _of_setting(setting, new)
        }

    def replaced(self, old: RunInputs, *, fixed: bool) -> list[str]:
        """Describes the files with other contents than before.

        `fixed` chooses those without which it would be another run.
        """
        return [
            f"contents of {name} ({self._files[name]}): SHA-256 "
            f"{old.digests[name][:12]} -> {digest[:12]}"
            for name, digest in self.inputs.digests.items()
            if digest != old.digests.get(name, digest)
            and (_setting_of(name) in _FIXED_FILES) == fixed
        ]

    def gone(self, old: RunInputs) -> list[str]:
        """Returns lines on files that are gone and needed no more."""
        return [
            f"{self._files[name]} is gone; its weights are in the checkpoint"
            for name in self._files.keys() & old.digests.keys()
            if name not in self.inputs.digests
        ]


def _setting_of(name: str) -> str:
    return name.split("[")[0]


def _of_setting(setting: str, digests: Mapping[str, str]) -> dict[str, str]:
    return {n: d for n, d in digests.items() if _setting_of(n) == setting}


def _names_and_sizes(reader: VideoReader) -> NamesAndSizes:
    """Returns names without folders: data may be moved."""
    sizes = reader.file_sizes().items()
    return [(name_of(file), size) for file, size in sizes]


def read_listed(directory: Path, kind: str, wanted: FileList) -> NamesAndSizes:
    """Returns the files of a list that a run wrote; none unless it is known.

    Args:
      directory: The run's directory.
      kind: `train_files` or `validation_files`.
      wanted: The list that a checkpoint describes.
    """
    try:
        listed = read_json_object(directory / INPUTS_NAME, _MOST_LISTED_BYTES)
        files = [(str(name), int(size)) for name, size in listed[kind]]
    except (FileNotFoundError, KeyError, TypeError, ValueError):
        # It is for messages; the checkpoint decides.
        return []
    return files if FileList.of(files) == wanted else []


class FileChanges(NamedTuple):
    """The difference between two lists of files.

    Attributes:
      text: What has changed, in words.
      only_new: Whether nothing but further files has.
    """

    text: str
    only_new: bool


def compare_files(
    old: FileList, old_files: NamesAndSizes, files: NamesAndSizes
) -> FileChanges | None:
    """Compares the files of now with those before; None if they are equal.

    `old_files` are empty where only their summary is known.
    """
    new = FileList.of(files)
    if old == new:
        return None
    if not old_files:
        return FileChanges(
            f"{old.num_files} of {old.num_bytes:,} bytes -> {new.num_files} of "
            f"{new.num_bytes:,} bytes, or other names",
            False,
        )
    before, now = Counter(old_files), Counter(files)
    lost, found = [*(before - now).elements()], [*(now - before).elements()]
    sizes = dict(found)
    changed = [name for name, _ in lost if name in sizes]
    missing = [name for name, _ in lost if name not in sizes]
    added = [name for name, _ in found if name not in changed]
    parts = [
        f"{len(names)} {what}: {_list_names(names)}"
        for names, what in (
            (missing, f"of {old.num_files} missing"),
            (changed, f"of {old.num_files} of another size"),
            (added, "new"),
        )
        if names
    ]
    text = "; ".join(parts) or "they are in another order"
    return FileChanges(text, bool(added) and not lost)


def _list_names(names: Sequence[str]) -> str:
    more = " ..." if len(names) > _NAMES_SHOWN else ""
    return ", ".join(names[:_NAMES_SHOWN]) + more


def compare_measures(
    old: Measure | None,
    new: Measure | None,
    files: Iterable[NamesAndSizes],
) -> str:
    """Says how scores are measured otherwise than before; empty if equal.

    `files` are the validation files before (empty if unknown) and now.
    """
    if old is None or new is None or old == new:
        return ""
    parts = [
        f"{name} {getattr(old, name)} -> {getattr(new, name)}"
        for name in ("top_k", "min_frames")
        if getattr(old, name) != getattr(new, name)
    ]
    changes = compare_files(old.files, *files)
    if changes is not None:
        parts.append(f"files: {changes.text}")
    return "; ".join(parts)
