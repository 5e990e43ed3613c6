"""What the report on a data set says of its labels."""

from collections.abc import Mapping

import numpy as np

from distill.datasets.check.check import DataFindings, SplitFindings
from distill.datasets.check.plots import FREQUENCIES_FILE
from distill.reporting import page

_MOST_CLASSES = 10
_MOST_LISTED = 60


def describe_labels(
    found: DataFindings, plots: Mapping[str, bytes]
) -> tuple[page.Block, ...]:
    """Returns what the report says of the labels of every split."""
    blocks: list[page.Block] = []
    for name, each in found.splits.items():
        if each.label_counts.any():
            blocks += _labels_of(name, each)
            blocks += _pairs_of(name, each)
    if FREQUENCIES_FILE in plots:
        title = "Frequencies of the labels"
        blocks.append(page.Plot(FREQUENCIES_FILE, title, ""))
    return tuple(blocks)


def _labels_of(name: str, found: SplitFindings) -> list[page.Block]:
    counts = found.label_counts
    of_segments = found.split.expected.schema.segment_labels
    examples = found.total("segments" if of_segments else "good")
    examples -= found.num_short
    # The most frequent first, the lower index first among equals.
    order = np.argsort(-counts, kind="stable")
    held = order[counts[order] > 0]
    missing = sorted(order[len(held) :].tolist())
    words = (
        f"{name}: {counts.sum():,} labels, {counts.sum() / examples:.2f} a "
        f"{'segment' if of_segments else 'video'}; {len(missing):,} of "
        f"{len(counts):,} classes have none"
    )
    if missing:
        listed = ", ".join(map(str, missing[:_MOST_LISTED]))
        words += f": {listed}{' ...' if len(missing) > _MOST_LISTED else ''}"
    most = held[:_MOST_CLASSES]
    least = held[len(most) :][-_MOST_CLASSES:]
    rows = [
        (str(index), f"{counts[index]:,}", f"{counts[index] / examples:.2%}")
        for index in (*most, *least)
    ]
    if len(held) > len(most) + len(least):
        rows.insert(len(most), ("...", "", ""))
    header = ("class", "segments" if of_segments else "videos", "share")
    return [page.Paragraph((f"{words}.",)), page.Table(header, tuple(rows))]


def _pairs_of(name: str, found: SplitFindings) -> list[page.Block]:
    """Shows how often the most frequent classes come with each other."""
    pairs, counts = found.label_pairs, found.label_counts
    if not len(pairs):
        return []
    most = np.argsort(-counts, kind="stable")[:_MOST_CLASSES]
    most = most[counts[most] > 0]
    shares = pairs.matrix(most) / counts[most][:, None]
    rows = [
        (str(a), *("-" if a == b else f"{share:.0%}" for b, share in row))
        for a, row in (
            (a, zip(most, line, strict=True))
            for a, line in zip(most, shares, strict=True)
        )
    ]
    words = (
        f"{name}: {len(pairs):,} pairs of classes come together in a video. "
        "Of the videos of a class (row), the share that also has another "
        "(column):"
    )
    listed = [
        (
            str(a),
            str(b),
            f"{count:,}",
            f"{count / counts[a]:.0%}",
            f"{count / counts[b]:.0%}",
        )
        for a, b, count in pairs.most_frequent(_MOST_CLASSES)
    ]
    return [
        page.Paragraph((words,)),
        page.Table(("class", *map(str, most)), tuple(rows)),
        page.Table(("a", "b", "videos", "P(b|a)", "P(a|b)"), tuple(listed)),
    ]
