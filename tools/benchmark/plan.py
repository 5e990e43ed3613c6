"""Parts, sizes and repetitions of the benchmark."""

import dataclasses
import importlib

from distill.settings.extraction import ExtractorSettings
from tools.benchmark.rows import Row

# Each is a module of this folder with a function `measure`.
PARTS = (
    *("train", "forward", "read", "metrics", "end_to_end", "memory"),
    "video",
)

# Decoding and extraction of a share of the frames are to cost at most this
# share of those of all.
READ_SHARE, READ_COST = 0.1, 0.15


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Sizes of the networks and their batch.

    Attributes:
      batch_size: Videos a batch.
      max_frames: Frames of a video.
      feature_sizes: Widths of a frame's features.
      num_classes: Classes.
      cells: Cells of every LSTM layer.
      teacher_blocks: Blocks of the teacher, which sees every frame.
      student_blocks: Blocks of the student.
      every_n: The student sees every n-th frame.
    """

    batch_size: int = 32
    max_frames: int = 300
    feature_sizes: tuple[int, ...] = (1024, 128)
    num_classes: int = 3862
    cells: int = 1024
    teacher_blocks: int = 20
    student_blocks: int = 5
    every_n: int = 10


@dataclasses.dataclass(frozen=True)
class Plan:
    """Sizes and repetitions of a benchmark.

    Attributes:
      sizes: The networks and their batch.
      repeats: Timed calls of each function.
      num_videos: Videos on disk, for reading and for inference.
      metric_videos: Videos whose metrics are timed.
      memory_videos: Two numbers of videos; the memory that the metrics of
        each take is compared.
      clip: The clip of which long videos are made; without one the part
        `video` cannot run.
      extractor: The image network that reads them.
      video_seconds: Length of these videos, in frames too.
      key_seconds: Distances of key frames with which the clip is encoded.
      budgets: Frames of a label; the last number is all of them.
    """

    sizes: Sizes = dataclasses.field(default_factory=Sizes)
    repeats: int = 5
    num_videos: int = 512
    metric_videos: int = 8192
    memory_videos: tuple[int, int] = (10_000, 100_000)
    clip: str | None = None
    extractor: ExtractorSettings = dataclasses.field(
        default_factory=ExtractorSettings
    )
    video_seconds: int = 300
    # Not those of the budgets: a wanted frame would always lie on a key frame.
    key_seconds: tuple[float, ...] = (1.04, 2.08, 5.16, 10.32)
    budgets: tuple[int, ...] = (1, 5, 10, 30, 300)


SMALL = Plan(
    Sizes(
        batch_size=4,
        max_frames=24,
        feature_sizes=(12, 4),
        num_classes=30,
        cells=8,
        teacher_blocks=4,
        student_blocks=2,
        every_n=4,
    ),
    repeats=2,
    num_videos=30,
    metric_videos=200,
    memory_videos=(100, 300),
    video_seconds=6,
    key_seconds=(0.6,),
    budgets=(1, 6),
)


def measure_part(part: str, plan: Plan) -> list[Row]:
    """Returns the rows of one of `PARTS`.

    All but `forward` import TensorFlow, so each is imported when it is used.
    """
    return importlib.import_module(f"tools.benchmark.{part}").measure(plan)
