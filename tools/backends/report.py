"""Tables of comparisons of backends, and the report of a training."""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill.evaluation.metrics_files import print_scores
from distill.reporting import page
from distill.reporting.console import print_table
from distill.reporting.machine import describe_machine
from distill.system.atomic_files import replace_atomically
from distill.system.storage import to_path
from tools.backends.curves import draw_losses

if TYPE_CHECKING:
    from distill.settings.run import RunSettings
    from tools.backends.comparison import BackendResult
    from tools.backends.training import TrainedBackend

_METRICS = {
    "gap": "GAP",
    "hit_at_one": "Hit@1",
    "perr": "PERR",
    "mean_average_precision": "mAP",
}
_TITLES = (
    *("backend", "device", "first loss", "last loss"),
    *("largest difference", "relative", *_METRICS.values()),
    *("first step", "later steps", "peak memory"),
)


def print_backends(
    results: "Sequence[BackendResult]", missing: Iterable[str]
) -> None:
    """Prints a row for each model and backend, and for each missing backend."""
    rows = [
        (
            result.model,
            result.backend,
            result.device,
            f"{result.difference:.1e}",
            *map(_format_time, (result.forward, result.gradient_step)),
        )
        for result in results
    ]
    rows += [("every model", backend, "not installed") for backend in missing]
    print_table(
        (
            "model",
            "backend",
            "device",
            "largest difference",
            "forward",
            "gradient step",
        ),
        rows,
        left=(0, 1, 2),
    )


def _format_time(seconds: float | None) -> str:
    return "-" if seconds is None else f"{1e3 * seconds:.1f} ms"


def print_evaluations(scores: Sequence[Mapping[str, Any]]) -> None:
    """Prints the scores of `evaluate_on_backends`, a column for each."""
    print_scores([{**each, "role": each["backend"]} for each in scores])
    first, *others = scores
    for other in others:
        shared = [name for name in _METRICS if name in first]
        largest = max(abs(other[name] - first[name]) for name in shared)
        names = f"{first['backend']} and {other['backend']}"
        print(f"largest difference of a metric, {names}: {largest:.1e}")


def print_training(found: "Sequence[TrainedBackend]") -> None:
    """Prints a row for each backend of `compare_training`."""
    print_table(_TITLES, _training_rows(found), left=(0, 1), width=170)


def _training_rows(
    found: "Sequence[TrainedBackend]",
) -> tuple[tuple[str, ...], ...]:
    return tuple(_training_row(each, found[0]) for each in found)


def _training_row(
    found: "TrainedBackend", reference: "TrainedBackend"
) -> tuple[str, ...]:
    differences = found.loss_differences(reference)
    relative = differences / reference.losses
    return (
        found.backend,
        found.device,
        f"{found.losses[0]:.4f}",
        f"{found.losses[-1]:.4f}",
        f"{differences.max():.1e}",
        f"{relative.max():.1e}",
        *(f"{found.scores[name]:.4f}" for name in _METRICS),
        _format_time(found.first_step_seconds),
        _format_time(found.step_seconds),
        f"{found.peak_bytes / 1e6:,.0f} MB",
    )


def write_training_report(
    directory: str | Path,
    settings: "RunSettings",
    found: "Sequence[TrainedBackend]",
) -> None:
    """Writes `training.json`, `training.md` and the plot.

    The directory exists. Each file is written whole or not at all. The plot is
    an SVG and a PNG.
    """
    results = {
        "settings": json.loads(settings.to_json()),
        "machine": describe_machine(),
        "backends": [
            dataclasses.asdict(each)
            | {
                "first_step_seconds": each.first_step_seconds,
                "step_seconds": each.step_seconds,
            }
            for each in found
        ],
    }
    plot = draw_losses(found)
    files = {
        plot.file_name: plot.svg.encode(),
        plot.png_name: plot.png,
        "training.json": (json.dumps(results, indent=1) + "\n").encode(),
        "training.md": _markdown(settings, found, plot).encode(),
    }
    for name, contents in files.items():
        with replace_atomically(to_path(directory) / name) as temporary:
            temporary.write_bytes(contents)


def _markdown(
    settings: "RunSettings",
    found: "Sequence[TrainedBackend]",
    plot: page.Plot,
) -> str:
    student, training = settings.student, settings.training
    name = student.model if student is not None else ""
    what = (
        f"{name}, {len(found[0].losses)} steps of Adam "
        f"(learning rate {training.base_learning_rate:g}) on batches of "
        f"{training.batch_size} videos of {training.train_data_pattern}. "
        "Every backend starts from the same file of weights and gets the same "
        "batches; dropout is off. The loss is that of the labels and the "
        "weight penalties. Scores are those after the last step, of "
        f"{found[0].scores['num_videos']:,} other videos."
    )
    how = (
        f"Differences are the largest of all steps from {found[0].backend}. "
        "The first step compiles; the later steps' time is the median. The "
        "memory is that of the backend's process, resident at most."
    )
    table = page.Table(_TITLES, _training_rows(found), num_texts=2)
    blocks = (page.Paragraph((what,)), plot, table, page.Paragraph((how,)))
    sections = [page.Section("Losses, scores, times and memory", blocks)]
    return page.render_markdown("One training on Keras's backends", sections)
