"""The table of what very many predictions take, and the same as JSON."""

import dataclasses
import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import rich.console
import rich.table

from distill.reporting.machine import describe_machine
from distill.system.atomic_files import replace_atomically
from tools.benchmark.predictions import PredictionStream


def print_predictions(found: Sequence[dict[str, Any]]) -> None:
    """Prints a column for each of what was done."""
    table = rich.table.Table()
    table.add_column("")
    for each in found:
        table.add_column(each["work"], justify="right")
    for title, values in _rows(found):
        table.add_row(title, *values)
    width = None if sys.stdout.isatty() else 100
    rich.console.Console(highlight=False, width=width).print(table)


def _rows(found):
    """Yields a title and the figures of each."""
    yield "videos/s", [f"{each['videos_per_second']:,.0f}" for each in found]
    yield "seconds", [f"{each['seconds']:,.1f}" for each in found]
    yield (
        "of which drawing predictions",
        [f"{each['seconds_drawing']:,.1f}" for each in found],
    )
    for index in range(len(found[0]["samples"])):
        samples = [each["samples"][index] for each in found]
        yield (
            f"MB resident after {samples[0]['videos']:,} videos",
            [f"{sample['megabytes']:,.0f}" for sample in samples],
        )
    yield "MB at most", [f"{each['peak_megabytes']:,.0f}" for each in found]
    yield (
        "bytes of growth a video",
        [f"{each['bytes_per_video']:,.1f}" for each in found],
    )
    yield (
        "temporary file, MB",
        [
            f"{each['samples'][-1]['temporary_bytes'] / 1e6:,.0f}"
            for each in found
        ],
    )
    for name in dict.fromkeys(key for each in found for key in each["result"]):
        values = [each["result"].get(name) for each in found]
        yield (
            name,
            ["-" if value is None else f"{value:,.6g}" for value in values],
        )


def write_predictions_report(
    path: str, found: Sequence[dict[str, Any]], stream: PredictionStream
) -> None:
    """Writes machine, date, sizes and figures as JSON, whole or not at all."""
    report = {
        "date": time.strftime("%Y-%m-%d"),
        "machine": describe_machine(),
        "stream": dataclasses.asdict(stream),
        "works": list(found),
    }
    with replace_atomically(path) as temporary:
        temporary.write_text(json.dumps(report, indent=2) + "\n")
