"""The report on a data set: on the console, as markdown, JSON, CSV, plots."""

import csv
import dataclasses
import io
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from distill.datasets.check import sections
from distill.datasets.check.check import DataFindings, SplitFindings
from distill.datasets.check.label_pairs import list_pairs
from distill.datasets.check.plots import PLOT_FILES, draw_plots
from distill.reporting import page
from distill.reporting.console import print_table
from distill.system.atomic_files import replace_atomically
from distill.system.storage import is_remote, to_path

_TITLE = "Check of the data"
_PROBE = ".writable"


def make_directory(directory: str | Path) -> None:
    """Makes the report's directory, before anything is read.

    Raises:
      ValueError: It cannot be written to.
    """
    path = to_path(directory)
    try:
        if is_remote(path):
            with replace_atomically(path / _PROBE):
                pass
            (path / _PROBE).unlink()
            return
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise ValueError(
            f"--output_dir={directory} cannot be written to: "
            f"{error.strerror or error}."
        ) from error


def write_report(found: DataFindings, directory: str | Path) -> list[str]:
    """Writes the report, CSV files of the labels and plots.

    Each file is written whole or not at all; those of an earlier report are
    replaced. Without matplotlib there are no plots, and the report says how to
    install it. Returns the names of the files.
    """
    directory = to_path(directory)
    try:
        plots = draw_plots(found.splits)
    except ImportError:
        plots = None
    blocks = sections.describe(found, plots)
    files = {
        "report.md": page.render_markdown(_TITLE, blocks).encode(),
        "report.json": f"{json.dumps(_to_json(found), indent=1)}\n".encode(),
        "label_frequencies.csv": _list_frequencies(found),
        "label_pairs.csv": list_pairs(
            {
                name: (each.label_pairs, each.label_counts)
                for name, each in found.splits.items()
            }
        ),
        **(plots or {}),
    }
    for name, contents in files.items():
        with replace_atomically(directory / name) as temporary:
            temporary.write_bytes(contents)
    for name in set(PLOT_FILES) - files.keys():
        (directory / name).unlink(missing_ok=True)
    return sorted(files)


def _list_frequencies(found: DataFindings) -> bytes:
    counts = [each.label_counts for each in found.splits.values()]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["class", *found.splits])
    for index in range(max(map(len, counts))):
        writer.writerow([index, *(int(count[index]) for count in counts)])
    return text.getvalue().encode()


def _to_json(found: DataFindings) -> dict[str, Any]:
    return {
        "all_is_well": not found.is_bad,
        "splits": {
            name: _split_to_json(each) for name, each in found.splits.items()
        },
        "duplicates": [
            {
                "splits": sorted({first, second}),
                "ids": twice.num_ids,
                "records": twice.num_records,
                "examples": [
                    {
                        "id": video_id.decode(errors="backslashreplace"),
                        "places": [
                            {
                                "file": found.splits[split].split.files[file],
                                "record": number,
                            }
                            for split, (file, number) in (
                                (first, one),
                                (second, other),
                            )
                        ],
                    }
                    for one, other, video_id in twice.examples
                ],
            }
            for (first, second), twice in found.duplicates.items()
        ],
    }


def _split_to_json(found: SplitFindings) -> dict[str, Any]:
    expected, files = found.split.expected, found.split.files
    lengths = sections.measure_lengths(found)
    figures = ("bytes", "records", "good", "segments", "lost_bytes")
    return {
        "schema": dataclasses.asdict(expected.schema),
        "need_labels": expected.need_labels,
        "budget": expected.budget.name,
        **{name: found.total(name) for name in figures},
        "bad": dict(sorted(found.bad.items())),
        "examples": {
            reason: [
                {"file": files[file], "record": number, "problem": problem}
                for file, number, problem in examples
            ]
            for reason, examples in sorted(found.examples.items())
        },
        "lengths": None if lengths is None else dataclasses.asdict(lengths),
        "frame_counts": {
            str(length): found.frame_counts[length]
            for length in sorted(found.frame_counts)
        },
        "labels_by_length": {
            str(length): found.labels_by_length[length]
            for length in sorted(found.labels_by_length)
        },
        "min_frames": expected.min_frames,
        "short": found.num_short,
        "label_counts": found.label_counts.tolist(),
        "label_pairs": len(found.label_pairs),
        "files": [found.by_file[file] for file in sorted(found.by_file)],
    }


def print_findings(found: DataFindings, seconds: float) -> None:
    """Prints a table of the splits, then one line for each problem."""
    print_table(
        sections.SUMMARY_HEADER, sections.summary_rows(found), width=150
    )
    for line in _describe(found):
        print(line)
    splits = found.splits.values()
    records = sum(each.total("records") for each in splits)
    megabytes = sum(each.total("bytes") for each in splits) / 1e6
    print(
        f"{'Something is bad' if found.is_bad else 'All is well'}: {records:,} "
        f"records in {seconds:.1f} s ({records / seconds:,.0f} records/s, "
        f"{megabytes / seconds:,.0f} MB/s)"
    )


def _describe(found: DataFindings) -> Iterator[str]:
    for name, each in found.splits.items():
        for reason, count in sorted(each.bad.items()):
            file, number, problem = each.examples[reason][0]
            yield (
                f"{name}: {count:,} records, {reason}; for example "
                f"{each.split.files[file]}, record {number}: {problem}"
            )
        for file in sorted(each.damage)[:1]:
            others = len(each.damage) - 1
            more = f" ({others:,} files more are damaged.)" if others else ""
            yield f"{name}: {each.damage[file]}{more}"
        if not each.total("good"):
            yield f"{name}: there is no good record."
        if each.num_short:
            yield (
                f"{name}: {each.num_short:,} videos of fewer than "
                f"{each.split.expected.min_frames} frames are left out of the "
                "figures of labels"
            )
    for (first, second), twice in found.duplicates.items():
        if first == second:
            yield f"{first}: {twice.num_ids:,} ids come more than once"
        else:
            yield f"{first} and {second}: {twice.num_ids:,} ids come in both"
