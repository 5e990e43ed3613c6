"""The tables and paragraphs of the report on a data set."""

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np

from distill.datasets.check.check import DataFindings, SplitFindings
from distill.datasets.check.label_sections import describe_labels
from distill.datasets.check.plots import LENGTHS_FILE
from distill.reporting import page

_MOST_DAMAGED = 100
_LENGTHS = (1, 2, 5, 10, 20, 50, 100, 200, 300, 500, 1000)


@dataclasses.dataclass(frozen=True)
class Lengths:
    """Numbers of frames; `num_longer` videos have more than are read."""

    least: int
    median: float
    mean: float
    most: int
    num_longer: int


def measure_lengths(found: SplitFindings) -> Lengths | None:
    """Returns the lengths of a split's good videos; None without a video."""
    lengths = np.fromiter(found.frame_counts.elements(), np.int32)
    if not lengths.size:
        return None
    most = most_frames(found)
    return Lengths(
        int(lengths.min()),
        float(np.median(lengths)),
        float(lengths.mean()),
        int(lengths.max()),
        0 if most is None else int((lengths > most).sum()),
    )


def most_frames(found: SplitFindings) -> int | None:
    """Returns how many frames are read of a video; None for all of them."""
    schema = found.split.expected.schema
    return None if schema.segment_labels else schema.max_frames


def describe(
    found: DataFindings, plots: Mapping[str, bytes] | None
) -> list[page.Section]:
    """Returns the report's sections; `plots` is None without matplotlib."""
    summary = page.Table(SUMMARY_HEADER, tuple(summary_rows(found)))
    sections = [
        page.Section("In short", (summary, _about_plots(plots))),
        page.Section("Bad records", _bad_records(found)),
        page.Section("Damaged files", _damaged_files(found)),
        page.Section("Ids that come twice", _duplicates(found)),
        page.Section("Lengths", _lengths(found, plots or {})),
        page.Section("Labels", describe_labels(found, plots or {})),
        page.Section("Files", _files(found)),
    ]
    return [section for section in sections if section.blocks]


def summary_rows(found: DataFindings) -> list[tuple[str, ...]]:
    """Returns a row a split: its name and its figures, as `SUMMARY_HEADER`."""
    rows = []
    for name, each in found.splits.items():
        twice = found.duplicates.get((name, name))
        figures = (
            len(each.split.files),
            each.total("bytes"),
            each.total("records"),
            each.total("good"),
            sum(each.bad.values()),
            len(each.damage),
            twice.num_records if twice else 0,
            int((each.label_counts == 0).sum()),
        )
        rows.append((name, *(f"{figure:,}" for figure in figures)))
    return rows


SUMMARY_HEADER = (
    "split",
    "files",
    "bytes",
    "whole records",
    "good",
    "bad",
    "damaged files",
    "doubled ids",
    "classes without a video",
)


def _about_plots(plots: Mapping[str, bytes] | None) -> page.Paragraph:
    if plots is None:
        words = "There are no plots: matplotlib is missing. Install it with "
        return page.Paragraph(
            (words, page.Code("pip install -e .[study]"), ".")
        )
    words = (
        "Whole records include the bad ones, except those whose checksum "
        "fails. Lengths, labels and ids are of good records only."
    )
    return page.Paragraph((words,))


def _bad_records(found: DataFindings) -> tuple[page.Block, ...]:
    rows: list[tuple[page.Words, ...]] = []
    for name, each in found.splits.items():
        for reason, count in sorted(each.bad.items()):
            shown, total = (name, reason), f"{count:,}"
            for file, number, problem in each.examples[reason]:
                place = page.Code(f"{each.split.files[file]}, record {number}")
                rows.append((*shown, place, problem, total))
                shown, total = ("", ""), ""
    if not rows:
        return (page.Paragraph(("None.",)),)
    header = ("split", "reason", "for example", "what is wrong", "records")
    return (page.Table(header, tuple(rows), 4),)


def _damaged_files(found: DataFindings) -> tuple[page.Block, ...]:
    lines = [
        each.damage[file]
        for each in found.splits.values()
        for file in sorted(each.damage)
    ]
    left = len(lines) - _MOST_DAMAGED
    if left > 0:
        lines[_MOST_DAMAGED:] = [f"... and {left:,} files more (report.json)"]
    return (page.Listing("\n".join(lines)),) if lines else ()


def _duplicates(found: DataFindings) -> tuple[page.Block, ...]:
    rows: list[tuple[page.Words, ...]] = []
    for (first, second), twice in found.duplicates.items():
        shown = first if first == second else f"{first} and {second}"
        total = f"{twice.num_ids:,}"
        for one, other, video_id in twice.examples:
            places = [
                f"{found.splits[split].split.files[file]}, record {number}"
                for split, (file, number) in ((first, one), (second, other))
            ]
            name = video_id.decode(errors="backslashreplace")
            rows.append((shown, *map(page.Code, (name, *places)), total))
            shown = total = ""
    if not rows:
        return (page.Paragraph(("None.",)),)
    header = ("splits", "for example", "first", "again", "ids")
    return (page.Table(header, tuple(rows), 4),)


def _lengths(
    found: DataFindings, plots: Mapping[str, bytes]
) -> tuple[page.Block, ...]:
    rows = [
        (
            name,
            f"{lengths.least:,}",
            f"{lengths.median:,g}",
            f"{lengths.mean:,.1f}",
            f"{lengths.most:,}",
            "-" if most_frames(each) is None else f"{lengths.num_longer:,}",
        )
        for name, each in found.splits.items()
        if (lengths := measure_lengths(each)) is not None
    ]
    if not rows:
        return ()
    header = ("frames of a video", "min", "median", "mean", "max", "cut")
    blocks: list[page.Block] = [page.Table(header, tuple(rows))]
    header = ("split", "at least", "videos", "share", "labels", "share")
    left = [
        row for name, each in found.splits.items() for row in _left(name, each)
    ]
    blocks.append(page.Table(header, tuple(left)))
    if LENGTHS_FILE in plots:
        blocks.append(page.Plot(LENGTHS_FILE, "Lengths of the videos", ""))
    return tuple(blocks)


def _left(name: str, found: SplitFindings) -> Iterator[tuple[str, ...]]:
    """Yields rows of what would be left with at least so many frames."""
    counts = found.frame_counts, found.labels_by_length
    longest = max(found.frame_counts, default=0)
    steps = {found.split.expected.min_frames, *_LENGTHS}
    for least in sorted(step for step in steps if step <= longest):
        shown = []
        for count in counts:
            left = sum(n for length, n in count.items() if length >= least)
            share = left / max(count.total(), 1)
            shown += [f"{left:,}", f"{share:.2%}"]
        yield (name, f"{least:,} frames", *shown)


def _files(found: DataFindings) -> tuple[page.Block, ...]:
    """Lists the files with a problem; report.json lists all."""
    rows: list[tuple[page.Words, ...]] = [
        (
            page.Code(each.by_file[file]["file"]),
            *(
                f"{each.by_file[file][figure]:,}"
                for figure in ("bytes", "records", "good", "lost_bytes")
            ),
        )
        for each in found.splits.values()
        for file in sorted(each.by_file)
        if each.by_file[file]["bad"]
        or file in each.damage
        or not each.by_file[file]["good"]
    ]
    if not rows:
        return ()
    words = "Files with a bad record or damage, or without a good record"
    left = len(rows) - _MOST_DAMAGED
    if left > 0:
        words += f"; {left:,} more are in report.json"
    header = ("file", "bytes", "whole records", "good", "bytes lost")
    return (
        page.Paragraph((f"{words}.",)),
        page.Table(header, tuple(rows[:_MOST_DAMAGED])),
    )
