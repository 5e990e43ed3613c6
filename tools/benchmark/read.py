"""Reading frame-level records, beside the rate of the raw records."""

from collections.abc import Iterable, Iterator

import numpy as np
import tensorflow as tf

from distill.data.pipeline import VideoReader
from distill.models.frame_budget import FrameBudget
from distill.models.preprocessing import dequantize
from distill.reporting.timing import time_interleaved
from distill.settings.schema import RECORD_FORMS
from tools.benchmark.plain_reading import read_plainly
from tools.benchmark.plan import Plan
from tools.benchmark.rows import Row
from tools.benchmark.videos import make_schema_of, written_videos

_BATCH_SIZE = 32
_PASSES = 32
# By the form of the records.
_TARGETS = {
    "frames": {"whole": ">= 1.4 x baseline", "selected": ">= 2.3 x baseline"},
    "packed": {"whole": ">= 0.8 x floor", "selected": ">= 0.8 x floor"},
}
_ENDINGS = {"frames": "", "packed": ", packed records"}


def measure(plan: Plan) -> list[Row]:
    """Returns the rows of whole videos and of every n-th frame, of both forms.

    Raises:
      ValueError: The plain reader gives other videos.
    """
    frames, packed = RECORD_FORMS
    with (
        written_videos(plan, record_form=frames) as files,
        written_videos(plan, record_form=packed) as packed_files,
    ):
        return [
            *_measure_files(files, files, plan, frames),
            *_measure_files(files, packed_files, plan, packed),
        ]


def _measure_files(
    files: list[str], stored: list[str], plan: Plan, form: str
) -> list[Row]:
    """Times files of a form beside the plain reader of the same videos."""
    schema = make_schema_of(plan.sizes)
    # This pass also brings the files to memory.
    num_videos = check_videos(
        read_plainly(files, schema, _BATCH_SIZE),
        VideoReader(schema, stored, _BATCH_SIZE),
    )
    # Several passes are timed as one, so that the start counts for little.
    num_videos *= _PASSES
    files, stored = files * _PASSES, stored * _PASSES
    budget = FrameBudget.every(plan.sizes.every_n)
    whole = VideoReader(schema, stored, _BATCH_SIZE)
    selected = VideoReader(schema, stored, _BATCH_SIZE, budget=budget)
    seconds = time_interleaved(
        {
            "plain": lambda: _drain(read_plainly(files, schema, _BATCH_SIZE)),
            "whole": lambda: _drain(whole.read_once()),
            "selected": lambda: _drain(selected.read_once()),
            "raw": lambda: _drain(tf.data.TFRecordDataset(stored)),
        },
        plan.repeats,
    )
    rates = {name: num_videos / taken for name, taken in seconds.items()}
    kept = budget.width(schema.max_frames)
    names = {
        "whole": "whole videos",
        "selected": f"{kept} of {schema.max_frames} frames",
    }
    return [
        Row(
            "read",
            names[name] + _ENDINGS[form],
            "videos/s",
            rates[name],
            rates["plain"],
            "a record at a time",
            rates["raw"],
            target,
        )
        for name, target in _TARGETS[form].items()
    ]


def _drain(examples: Iterable) -> None:
    for _ in examples:
        pass


def check_videos(plain: tf.data.Dataset, reader: VideoReader) -> int:
    """Compares every video of two readers by id; returns their number.

    Raises:
      ValueError: A video is missing or has other frames or labels.
    """
    expected = dict(_videos(plain))
    num_videos = 0
    for video_id, (frames, labels) in _videos(reader.read_once()):
        num_videos += 1
        if video_id not in expected:
            raise ValueError(f"The plain reader does not give {video_id!r}.")
        plain_frames, plain_labels = expected[video_id]
        if not (
            np.array_equal(dequantize(frames), plain_frames)
            and np.array_equal(labels, plain_labels)
        ):
            raise ValueError(f"The readers differ on video {video_id!r}.")
    if num_videos != len(expected):
        raise ValueError(
            f"The plain reader gives {len(expected)} videos, ours {num_videos}."
        )
    return num_videos


def _videos(
    batches: Iterable[dict[str, tf.Tensor]],
) -> Iterator[tuple[bytes, tuple[np.ndarray, np.ndarray]]]:
    """Yields each video's id, its real frames and its labels."""
    for batch in batches:
        arrays = [batch[key].numpy() for key in ("frames", "labels")]
        lengths = batch["num_frames"].numpy()
        for index, video_id in enumerate(batch["id"].numpy()):
            frames, labels = (array[index] for array in arrays)
            yield video_id, (frames[: lengths[index]], labels)
