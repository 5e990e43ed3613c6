"""What the stages print: tables, sizes and progress."""

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich.console
import rich.progress
import rich.table

from distill.system.small_files import read_small_text

if TYPE_CHECKING:
    from distill.checkpoints.conversion import GroupSize
    from distill.networks.model_list import ModelSize
    from distill.settings.schema import DataSchema

_SCORES = {
    "gap": "GAP",
    "hit_at_one": "Hit@1",
    "perr": "PERR",
    "mean_average_precision": "mAP",
    "segment_mean_average_precision": "segment mAP",
}
_SEGMENT_TITLES = {
    "gap": "GAP (rated pairs)",
    "macs": "MACs a segment",
    "examples_per_second": "segments/s",
}


def print_scores(scores: list[dict[str, Any]]) -> None:
    """Prints the metrics of one or more networks, a column each."""
    print(scores[0]["checkpoint"])
    table = rich.table.Table()
    table.add_column("metric")
    for network in scores:
        table.add_column(network["role"], justify="right")
    top_k = scores[0]["top_k"]
    names = {
        "gap": f"GAP@{top_k}",
        "hit_at_one": "Hit@1",
        "perr": "PERR",
        "mean_average_precision": "mAP (every score)",
        "mean_average_precision_at_k": f"mAP (each video's top {top_k})",
        "segment_mean_average_precision": "segment mAP (rated segments)",
        "loss": "loss",
        "num_videos": "videos",
        "num_segments": "rated segments",
        "num_rated": "rated (segment, class) pairs",
        "frames": "frames seen",
        "parameters": "parameters",
        "macs": "MACs a video",
        "examples_per_second": "videos/s",
        "device": "device",
        "step": "step",
    }
    if "num_segments" in scores[0]:
        names |= _SEGMENT_TITLES
    for name, title in names.items():
        if name in scores[0]:
            values = (_format(network[name]) for network in scores)
            table.add_row(title, *values)
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
        path, _, role = file.partition(":")
        if not separator or not path:
            raise ValueError(f"--metrics_files: {entry!r} is not NAME=FILE.")
        networks = _read_networks(path)
        found = [n for n in networks if role in ("", n["role"])]
        if len(found) != 1:
            names = ", ".join(network["role"] for network in networks)
            raise ValueError(
                f"--metrics_files: {entry!r} must name one of {names}."
            )
        scores[name] = found[0]
    return scores


def _read_networks(path) -> list[dict[str, Any]]:
    """Returns the scores of the networks of a metrics file."""
    try:
        held = json.loads(read_small_text(path))
    except (RecursionError, ValueError) as error:
        raise ValueError(
            f"--metrics_files: {path} holds no metrics: {error}."
        ) from error
    networks = held if isinstance(held, list) else [held]
    for network in networks:
        if not isinstance(network, dict) or "role" not in network:
            raise ValueError(
                f"--metrics_files: {path} holds no metrics: no 'role'."
            )
    return networks


def print_comparison(scores: Mapping[str, dict[str, Any]]) -> None:
    """Prints a row a network: metrics, frames and cost."""
    table = rich.table.Table()
    table.add_column("network", overflow="fold")
    columns = _SCORES | {
        "frames": "frames",
        "parameters": "parameters",
        "macs": "MACs",
    }
    columns = {
        key: title
        for key, title in columns.items()
        if any(key in network for network in scores.values())
    }
    for title in columns.values():
        table.add_column(title, justify="right")
    for name, network in scores.items():
        table.add_row(name, *(_format(network.get(key)) for key in columns))
    _print(table)


def print_conversion(
    checkpoint: str | Path,
    student_checkpoint: str | Path,
    sizes: Mapping[str, "GroupSize"],
) -> None:
    """Says what a conversion kept, left out, and the files' sizes."""
    result = "student_ema" if "student_ema" in sizes else "student"
    for group, size in sizes.items():
        verb = "kept" if group == result else "left out"
        print(
            f"{verb} {group}: {size.variables} variables, {size.values:,} "
            f"values, {size.num_bytes / 1e6:.1f} MB"
        )
    for path in (checkpoint, student_checkpoint):
        print(f"{path}: {Path(path).stat().st_size / 1e6:.1f} MB")


def print_models(models: list["ModelSize"], schema: "DataSchema") -> None:
    """Prints a row a model; below, which default sizes do not fit the data."""
    print(
        f"{schema.max_frames} frames of {schema.num_features} features, "
        f"{schema.num_classes} classes"
    )
    table = rich.table.Table()
    for title in ("model", "level"):
        table.add_column(title, no_wrap=True)
    for title in ("parameters", "MACs"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("classifier", no_wrap=True)
    table.add_column("default sizes", overflow="fold")
    for model in models:
        table.add_row(
            model.name,
            model.level,
            _format(model.parameters),
            _format(model.macs),
            model.classifier,
            _format_sizes(model.arguments),
        )
    _print(table)
    classifiers = {m.classifier: m.classifier_arguments for m in models}
    for name, sizes in classifiers.items():
        print(f"classifier {name}: {_format_sizes(sizes)}")
    for model in models:
        if model.problem:
            print(f"{model.name} does not fit the data: {model.problem}")


def _format_sizes(sizes: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={size}" for name, size in sizes.items())


def print_shard(path: Path, written: bool) -> None:
    """Says what became of a shard of data."""
    verb = "wrote" if written else "kept"
    print(f"{verb} {path} ({path.stat().st_size / 1e6:.1f} MB)", flush=True)


def report_progress(
    counts: Iterable[int],
    estimated: int,
    output_file: str,
    examples: str = "videos",
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
        task = bar.add_task(examples, total=estimated)
        count = 0
        for count in counts:
            bar.update(task, completed=count, total=max(estimated, count))
    print(f"wrote the predictions of {count} {examples} to {output_file}")


def _format(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}" if value < 100 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}"
    return "-" if value is None else str(value)


def _print(table: rich.table.Table) -> None:
    width = None if sys.stdout.isatty() else 120
    rich.console.Console(highlight=False, width=width).print(table)
