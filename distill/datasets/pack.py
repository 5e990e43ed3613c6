"""Arrays of features, packed into records that training reads.

A data set is a directory: shards of each split, the names of the classes if
the labels are names, and a flagfile that describes the records. It is written
under a temporary name and renamed at the end, so it is whole or not there.
"""

import contextlib
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from distill.datasets.array_sources import ArrayEntry
from distill.datasets.array_videos import (
    ArrayFindings,
    ArrayVideo,
    check_videos,
    named_error,
)
from distill.datasets.packed_data import (
    DATASET_FLAGS,
    PackedData,
    RecordPlan,
    describe_data_set,
)
from distill.datasets.shards import (
    serialize_record,
    shard_name,
    to_sequence_example,
)
from distill.settings.class_names import CLASS_NAMES
from distill.settings.pack import PackSettings
from distill.settings.schema import check_quantisation_range
from distill.system.atomic_files import replace_directory
from distill.system.directory_lock import LOCK_NAME
from distill.system.storage import UPLOADING, to_path

# What `distill pack` says of the shards that workers write.
DESCRIPTION = "pack.json"
_OWN_FILES = re.compile(
    r".+-\d{5}-of-\d{5}\.tfrecord(\.json)?|"
    rf"{CLASS_NAMES}|{DATASET_FLAGS}|{DESCRIPTION}|{LOCK_NAME}"
)
# A comma separates patterns; the others have a meaning in a glob.
_NOT_IN_PATTERNS = re.compile(r"[,*?\[\]\\\n]")


def write_records(
    videos: Iterable[ArrayVideo | tuple],
    output_dir: str | Path,
    settings: PackSettings | None = None,
    class_names: Sequence[str] | None = None,
    observe: Callable[[int], None] = lambda count: None,
) -> PackedData:
    """Writes videos as TFRecord shards, with the flags that describe them.

    `output_dir` then holds `SPLIT-*.tfrecord`, `dataset.cfg` (a flagfile) and,
    where labels are names, `class_names.csv`. An earlier data set there is
    replaced.

    Args:
      videos: `(id, {name: numbers [frames, size]}, labels)` for each video, or
        an `ArrayVideo`. They are iterated twice, unless the classes are given
        (`class_names` or `num_classes`) and the range is fixed.
      output_dir: A directory.
      settings: Quantisation, splits and shards; None for the defaults.
      class_names: The name of every class; None to sort the names found.
      observe: Called with the number of videos written so far.

    Raises:
      ValueError: A video has a wrong form or two videos have one id; the
        message names the video. Nothing is written.
    """
    settings = settings or PackSettings()
    directory = to_path(output_dir).absolute()
    check_directory(directory)
    plan = make_plan(settings, class_names, lambda: _survey(videos, settings))
    found = ArrayFindings(settings)
    with replace_directory(directory, DATASET_FLAGS) as folder:
        with contextlib.ExitStack() as stack:
            shards = _Shards(plan, folder, stack)
            for count, video in enumerate(check_videos(videos, found), start=1):
                shards.add(video)
                observe(count)
        if not shards.num_videos:
            raise ValueError("There is no video to pack.")
        packed = describe(plan, found, shards.num_videos, shards.num_clipped)
        describe_data_set(packed, folder, directory, "pack")
    return packed


def describe(
    plan: RecordPlan,
    found: ArrayFindings,
    num_videos: Counter[str],
    num_clipped: int,
) -> PackedData:
    """Returns what has been written.

    Args:
      plan: The decisions that hold for every video.
      found: Facts on all videos.
      num_videos: Number of videos of each split.
      num_clipped: Number of floats outside the quantisation range.

    Raises:
      ValueError: One of the splits is empty.
    """
    settings = found.settings
    clipped = None
    if found.num_floats and not settings.float_frames:
        clipped = num_clipped / found.num_floats
    packed = PackedData(
        plan.schema(
            found.names,
            found.feature_sizes,
            settings.max_frames or found.max_frames,
        ),
        plan.class_names,
        num_videos,
        clipped,
    )
    for split in ("train", "validate"):
        if settings.validate_fraction and not packed.num_videos[split]:
            raise ValueError(
                f"validate_fraction={settings.validate_fraction} leaves no "
                f"video of {packed.num_videos.total()} for {split}."
            )
    return packed


def check_directory(directory: Path) -> None:
    """Refuses a path that patterns cannot name, and a folder of other files."""
    if _NOT_IN_PATTERNS.search(str(directory)):
        raise ValueError(
            "output_dir must not hold a comma or one of *?[]\\, got "
            f"{directory}."
        )
    if not directory.is_dir():
        return
    for path in sorted(directory.iterdir()):
        if not _OWN_FILES.fullmatch(path.name) and path.name != UPLOADING:
            raise ValueError(
                f"{directory} would be replaced, but holds {path.name}, which "
                "is not of a packed data set: give another output_dir."
            )


def make_plan(
    settings: PackSettings,
    class_names: Sequence[str] | None,
    survey: Callable[[], ArrayFindings],
) -> RecordPlan:
    """Returns the classes and the range, from a survey if it has to."""
    names = None if class_names is None else tuple(class_names)
    num_classes = settings.num_classes
    if names is not None:
        if len(set(names)) != len(names) or num_classes not in (
            None,
            len(names),
        ):
            raise ValueError(
                f"class_names must be {num_classes or 'all'} different names, "
                f"got {len(names)}, {len(set(names))} of them different."
            )
        num_classes = len(names)
    value_range = settings.quantisation_min, settings.quantisation_max
    is_auto = settings.quantisation_range == "auto"
    if num_classes is None or is_auto:
        found = survey()
        if num_classes is None:
            names, num_classes = found.classes()
        if is_auto:
            value_range = found.least, found.greatest
            if not found.num_floats:
                raise ValueError(
                    "quantisation_range=auto needs floats; the arrays hold "
                    "whole numbers, which are taken for bytes."
                )
            check_quantisation_range(*value_range)
    return RecordPlan(settings, num_classes, names, value_range)


def _survey(
    videos: Iterable[ArrayVideo | tuple], settings: PackSettings
) -> ArrayFindings:
    if iter(videos) is videos:
        raise ValueError(
            "videos can be iterated once only: give class_names or num_classes "
            "and a fixed quantisation_range, or a list of videos."
        )
    found = ArrayFindings(settings)
    for _ in check_videos(videos, found):
        pass
    return found


def make_record(video: ArrayVideo, plan: RecordPlan) -> tuple[bytes, int]:
    """Returns a checked video's record, and how many floats were clipped.

    Raises:
      ValueError: A label is not among the classes, or a feature's frames
        cannot be packed under its name.
    """
    try:
        labels = sorted({plan.index(label) for label in video.labels})
    except ValueError as error:
        raise named_error(video, error) from error
    features, num_clipped = {}, 0
    for name, array in video.features.items():
        features[name], count = plan.store(array)
        num_clipped += count
    record = to_sequence_example(video.id, labels, features)
    try:
        serialized = serialize_record(
            record, plan.settings.record_form, features
        )
    except ValueError as error:
        raise named_error(video, error) from error
    return serialized, num_clipped


def split_of(video: ArrayVideo | ArrayEntry, plan: RecordPlan) -> str:
    """Returns a video's split; the error of a wrong one names the video."""
    try:
        return plan.split(video.id, video.split)
    except ValueError as error:
        raise named_error(video, error) from error


class _Shards:
    """The shards of every split, open to be written in turn.

    Attributes:
      num_videos: Number of videos of each split.
      num_clipped: Number of floats outside the quantisation range.
    """

    def __init__(
        self, plan: RecordPlan, folder: Path, stack: contextlib.ExitStack
    ):
        self._plan, self._folder, self._stack = plan, folder, stack
        self._writers: dict[str, list[Any]] = {}
        self.num_videos: Counter[str] = Counter()
        self.num_clipped = 0

    def add(self, video: ArrayVideo) -> None:
        """Writes a checked video to the next shard of its split."""
        record, num_clipped = make_record(video, self._plan)
        split = split_of(video, self._plan)
        count = self._plan.settings.num_shards
        if split not in self._writers:
            paths = [
                self._folder / shard_name(split, index, count)
                for index in range(count)
            ]
            self._writers[split] = [
                self._stack.enter_context(tf.io.TFRecordWriter(str(path)))
                for path in paths
            ]
        self._writers[split][self.num_videos[split] % count].write(record)
        self.num_videos[split] += 1
        self.num_clipped += num_clipped
