"""Parts, sizes and repetitions of the benchmark."""

import dataclasses
import pkgutil

from distill.settings.extraction import ExtractorSettings
from tools.benchmark.rows import Row

# A module of this folder and its function, by the name of the part.
PARTS = {
    "train": "train:measure",
    "train_lengths": "train_lengths:measure",
    "train_pooling": "train_models:measure_pooling",
    "train_recurrent": "train_models:measure_recurrent",
    "train_video_level": "train_models:measure_video_level",
    "train_student": "train_models:measure_student",
    "forward": "forward:measure",
    "read": "read:measure",
    "metrics": "metrics:measure",
    "end_to_end": "end_to_end:measure",
    "scoring": "scoring:measure",
    "start": "start:measure",
    "export": "export_cost:measure",
    "study": "study_rate:measure",
    "exchange": "exchange:measure",
    "memory": "memory:measure",
    "accelerator": "accelerator:measure",
    "video": "video:measure",
}
# Those that run on any Keras backend, without TensorFlow.
ON_ANY_BACKEND = ("forward", "accelerator")

_SLOW_REPEATS = 3
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
      preset: The sizes of all other models.
      video_level_batch_size: Videos a batch of the models of one vector a
        video.
      worker_cells: Cells of the networks that several workers train.
    """

    batch_size: int = 32
    max_frames: int = 300
    feature_sizes: tuple[int, ...] = (1024, 128)
    num_classes: int = 3862
    cells: int = 1024
    teacher_blocks: int = 20
    student_blocks: int = 5
    every_n: int = 10
    preset: str = "paper"
    video_level_batch_size: int = 128
    worker_cells: int = 512


@dataclasses.dataclass(frozen=True)
class Plan:
    """Sizes and repetitions of a benchmark.

    Attributes:
      sizes: The networks and their batch.
      repeats: Timed calls of each function.
      num_videos: Videos on disk, for reading and for inference.
      export_videos: Videos on which an export is compared.
      study_videos: Videos of each split of the study.
      start_videos: Videos of the training that is started.
      exchanged: Numbers of values that workers sum.
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
    export_videos: int = 32
    study_videos: int = 512
    start_videos: int = 1024
    exchanged: tuple[int, ...] = (1_000_000, 10_000_000, 100_000_000)
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

    @property
    def slow_repeats(self) -> int:
        """Timed calls of functions that take seconds."""
        return min(self.repeats, _SLOW_REPEATS)


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
        preset="small",
        video_level_batch_size=4,
        worker_cells=8,
    ),
    repeats=2,
    num_videos=30,
    export_videos=8,
    study_videos=40,
    start_videos=64,
    exchanged=(1000,),
    metric_videos=200,
    memory_videos=(100, 300),
    video_seconds=6,
    key_seconds=(0.6,),
    budgets=(1, 6),
)


def measure_part(part: str, plan: Plan) -> list[Row]:
    """Returns the rows of one of `PARTS`.

    Most import TensorFlow, so each is imported when it is used.
    """
    return pkgutil.resolve_name(f"tools.benchmark.{PARTS[part]}")(plan)
