"""What the stages print: tables, sizes and progress."""

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich.console
import rich.progress
import rich.table

if TYPE_CHECKING:
    from distill.conversion import GroupSize

_SCORES = {
    "gap": "GAP",
    "hit_at_one": "Hit@1",
    "perr": "PERR",
    "mean_average_precision": "mAP",
}


def print_scores(scores: list[dict[str, Any]]) -> None:
    """Prints the metrics of one or more networks, a column each."""
    print(scores[0]["checkpoint"])
    table = rich.table.Table()
    table.add_column("metric")
    for network in scores:
        table.add_column(network["which"], justify="right")
    top_k = scores[0]["top_k"]
    names = {
        "gap": f"GAP@{top_k}",
        "hit_at_one": "Hit@1",
        "perr": "PERR",
        "mean_average_precision": "mAP (every score)",
        "mean_average_precision_at_k": f"mAP (each video's top {top_k})",
        "loss": "loss",
        "num_videos": "videos",
        "frames": "frames seen",
        "parameters": "parameters",
        "multiply_adds": "multiply-adds a video",
        "examples_per_second": "videos/s",
        "device": "device",
        "step": "step",
    }
    for name, title in names.items():
        table.add_row(title, *(_format(network[name]) for network in scores))
    _print(table)


def read_named_scores(files: list[str]) -> dict[str, dict[str, Any]]:
    """Reads metrics files by name.

    Args:
      files: `NAME=FILE`, or `NAME=FILE:WHICH` for a file of two networks.

    Raises:
      ValueError: An entry is of another form, or holds no such network.
    """
    scores = {}
    for entry in files:
        name, separator, file = entry.partition("=")
        path, _, which = file.partition(":")
        if not separator or not path:
            raise ValueError(f"--metrics_files: {entry!r} is not NAME=FILE.")
        held = json.loads(Path(path).read_text())
        networks = held if isinstance(held, list) else [held]
        found = [n for n in networks if which in ("", n["which"])]
        if len(found) != 1:
            names = ", ".join(network["which"] for network in networks)
            raise ValueError(
                f"--metrics_files: {entry!r} must name one of {names}."
            )
        scores[name] = found[0]
    return scores


def print_comparison(scores: Mapping[str, dict[str, Any]]) -> None:
    """Prints a row a network: metrics, frames and cost."""
    table = rich.table.Table()
    table.add_column("network")
    columns = _SCORES | {
        "frames": "frames",
        "parameters": "parameters",
        "multiply_adds": "multiply-adds",
    }
    for title in columns.values():
        table.add_column(title, justify="right")
    for name, network in scores.items():
        table.add_row(name, *(_format(network[key]) for key in columns))
    _print(table)


def print_conversion(
    checkpoint: str | Path,
    student_checkpoint: str | Path,
    sizes: Mapping[str, "GroupSize"],
) -> None:
    """Says what a conversion kept, left out, and the files' sizes."""
    for group, size in sizes.items():
        verb = "kept" if group == "student" else "left out"
        print(
            f"{verb} {group}: {size.variables} variables, {size.values:,} "
            f"values, {size.num_bytes / 1e6:.1f} MB"
        )
    for path in (checkpoint, student_checkpoint):
        print(f"{path}: {Path(path).stat().st_size / 1e6:.1f} MB")


def print_shard(path: Path, written: bool) -> None:
    """Says what became of a shard of synthetic data."""
    verb = "wrote" if written else "kept"
    print(f"{verb} {path} ({path.stat().st_size / 1e6:.1f} MB)", flush=True)


def report_progress(
    counts: Iterable[int], estimated: int, output_file: str
) -> None:
    """Runs a count to its end, with a bar on a terminal, and reports it."""
    console = rich.console.Console(highlight=False)
    with rich.progress.Progress(
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TimeRemainingColumn(),
        console=console,
        disable=not sys.stdout.isatty(),
    ) as bar:
        task = bar.add_task("videos", total=estimated)
        count = 0
        for count in counts:
            bar.update(task, completed=count, total=max(estimated, count))
    print(f"wrote the predictions of {count} videos to {output_file}")


def _format(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}" if value < 100 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}"
    return "-" if value is None else str(value)


def _print(table: rich.table.Table) -> None:
    width = None if sys.stdout.isatty() else 120
    rich.console.Console(highlight=False, width=width).print(table)
