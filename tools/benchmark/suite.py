"""The benchmark's parts, each from its sizes to its rows."""

import dataclasses
import tempfile
from collections.abc import Callable

from tools.benchmark.forward import Sizes, measure_forward
from tools.benchmark.timing import Row


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is timed, and how often.

    Attributes:
      sizes: The networks and their batch.
      repeats: Timed calls of everything.
      num_videos: Videos on disk, for reading and for inference.
      metric_videos: Videos whose metrics are timed.
      memory_videos: Fewer and more videos whose metrics' memory is compared.
    """

    sizes: Sizes = dataclasses.field(default_factory=Sizes)
    repeats: int = 5
    num_videos: int = 512
    metric_videos: int = 8192
    memory_videos: tuple[int, int] = (10_000, 100_000)


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
)


def choose_sizes(small: bool, batch_size: int) -> Sizes:
    """Returns the full or the tiny sizes with another batch."""
    sizes = SMALL.sizes if small else Sizes()
    return dataclasses.replace(sizes, batch_size=batch_size)


def measure_part(part: str, plan: Plan) -> list[Row]:
    """Returns the rows of one of `PARTS`.

    Only `forward` runs without TensorFlow.
    """
    return PARTS[part](plan)


def _forward(plan):
    return measure_forward(plan.sizes, plan.repeats)


def _train(plan):
    from tools.benchmark.train import measure_train

    return measure_train(plan.sizes, plan.repeats)


def _read(plan):
    from tools.benchmark.read import measure_reading
    from tools.benchmark.train import make_schema_of

    with tempfile.TemporaryDirectory(prefix="distill-benchmark-") as folder:
        return measure_reading(
            _write_videos(plan, folder),
            make_schema_of(plan.sizes),
            plan.sizes.every_n,
            plan.repeats,
        )


def _metrics(plan):
    from tools.benchmark.metrics import measure_metrics

    return measure_metrics(
        plan.metric_videos, plan.sizes.num_classes, plan.repeats
    )


def _end_to_end(plan):
    from tools.benchmark.end_to_end import measure_end_to_end

    with tempfile.TemporaryDirectory(prefix="distill-benchmark-") as folder:
        return measure_end_to_end(
            _write_videos(plan, folder), plan.sizes, plan.repeats
        )


def _memory(plan):
    from tools.benchmark.metrics import measure_memory

    return measure_memory(*plan.memory_videos, plan.sizes.num_classes)


PARTS: dict[str, Callable[[Plan], list[Row]]] = {
    "train": _train,
    "forward": _forward,
    "read": _read,
    "metrics": _metrics,
    "end_to_end": _end_to_end,
    "memory": _memory,
}


def _write_videos(plan: Plan, folder: str) -> list[str]:
    """Writes full-length synthetic videos; returns the files."""
    from distill.datasets.synthetic import write_synthetic_data
    from distill.datasets.synthetic_settings import SyntheticSettings

    sizes = plan.sizes
    settings = SyntheticSettings(
        split="validate",
        num_videos=plan.num_videos,
        feature_sizes=sizes.feature_sizes,
        num_classes=sizes.num_classes,
        max_frames=sizes.max_frames,
        min_frames=sizes.max_frames,
    )
    return [str(path) for path, _ in write_synthetic_data(settings, folder)]
