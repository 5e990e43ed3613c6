"""Peak memory of processes that gather the metrics of many videos."""

from tools.benchmark.metrics import make_predictions
from tools.benchmark.plan import Plan
from tools.benchmark.rows import Row
from tools.process_memory import peak_bytes, run_in_new_process


def measure(plan: Plan) -> list[Row]:
    """Returns the row of many videos; fewer videos are the baseline."""
    fewer, more = plan.memory_videos
    num_classes = plan.sizes.num_classes
    megabytes = {
        num_videos: run_in_new_process(_evaluate, num_videos, num_classes)
        / 2**20
        for num_videos in (fewer, more)
    }
    return [
        Row(
            "memory",
            f"evaluation of {more:,} videos, {num_classes} classes",
            "MB",
            megabytes[more],
            megabytes[fewer],
            f"{fewer:,} videos",
            target="<= 1.1 x baseline",
        )
    ]


def _evaluate(num_videos: int, num_classes: int) -> int:
    """Gathers metrics as evaluation does; returns this process's peak bytes."""
    # Evaluation's own imports are part of its memory.
    import distill.evaluation.evaluate  # noqa: F401
    from distill.metrics.accumulator import VideoMetrics

    metrics = VideoMetrics()
    for predictions, labels in make_predictions(num_videos, num_classes):
        metrics.update(predictions, labels)
    metrics.result()
    return peak_bytes()
