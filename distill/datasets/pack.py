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
from distill.datasets.shards import shard_name, to_sequence_example
from distill.settings.class_names import CLASS_NAMES
from distill.settings.pack import PackSettings
from distill.settings.schema import check_quantisation_range
from distill.system.atomic_files import replace_directory
from distill.system.storage import UPLOADING, to_path

_OWN_FILES = re.compile(
    rf".+-\d{{5}}-of-\d{{5}}\.tfrecord|{CLASS_NAMES}|{DATASET_FLAGS}"
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
    _check_directory(directory)
    plan = _make_plan(videos, settings, class_names)
    found = ArrayFindings(settings)
    with replace_directory(directory, DATASET_FLAGS) as folder:
        with contextlib.ExitStack() as stack:
            shards = _Shards(plan, folder, stack)
            for count, video in enumerate(check_videos(videos, found), start=1):
                try:
                    shards.add(video)
                except ValueError as error:
                    raise named_error(video, error) from error
                observe(count)
        if not shards.num_videos:
            raise ValueError("There is no video to pack.")
        packed = _describe(plan, found, shards)
        describe_data_set(packed, folder, directory, "pack")
    return packed


def _describe(
    plan: RecordPlan, found: ArrayFindings, shards: "_Shards"
) -> PackedData:
    """Returns what has been written.

    Raises:
      ValueError: One of the splits is empty.
    """
    settings = found.settings
    clipped = None
    if found.num_floats and not settings.float_frames:
        clipped = shards.num_clipped / found.num_floats
    packed = PackedData(
        plan.schema(
            found.names,
            found.feature_sizes,
            settings.max_frames or found.max_frames,
        ),
        plan.class_names,
        shards.num_videos,
        clipped,
    )
    for split in ("train", "validate"):
        if settings.validate_fraction and not packed.num_videos[split]:
            raise ValueError(
                f"validate_fraction={settings.validate_fraction} leaves no "
                f"video of {packed.num_videos.total()} for {split}."
            )
    return packed


def _check_directory(directory: Path) -> None:
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


def _make_plan(
    videos: Iterable[ArrayVideo | tuple],
    settings: PackSettings,
    class_names: Sequence[str] | None,
) -> RecordPlan:
    """Returns the classes and the range, from a first pass if it has to."""
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
        found = _survey(videos, settings)
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
        labels = sorted({self._plan.index(label) for label in video.labels})
        features = {}
        for name, array in video.features.items():
            features[name], num_clipped = self._plan.store(array)
            self.num_clipped += num_clipped
        split = self._plan.split(video.id, video.split)
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
        record = to_sequence_example(video.id, labels, features)
        # Maps have no order of their own that lasts.
        self._writers[split][self.num_videos[split] % count].write(
            record.SerializeToString(deterministic=True)
        )
        self.num_videos[split] += 1
