"""Plots of the videos' lengths and of the classes' frequencies, as PNG."""

import io
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from distill.datasets.check.check import SplitFindings
from distill.reporting.page import PLOT_STYLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's palette for the colour-blind.
_COLOURS = ("#0072b2", "#d55e00", "#009e73")
_MOST_BINS = 60
_STYLE = PLOT_STYLE | {
    "figure.figsize": (7.2, 3.8),
    "figure.dpi": 110,
    "axes.titlesize": 12,
    "axes.axisbelow": True,
}

LENGTHS_FILE = "video_lengths.png"
FREQUENCIES_FILE = "label_frequencies.png"
PLOT_FILES = (LENGTHS_FILE, FREQUENCIES_FILE)


def draw_plots(splits: Mapping[str, SplitFindings]) -> dict[str, bytes]:
    """Draws the lengths of videos and the frequencies of labels as PNG files.

    Raises:
      ImportError: matplotlib is not installed.
    """
    import matplotlib

    plots = {}
    with matplotlib.rc_context(_STYLE):
        if any(found.frame_counts for found in splits.values()):
            plots[LENGTHS_FILE] = _draw(splits, _draw_lengths)
        if any(found.label_counts.any() for found in splits.values()):
            plots[FREQUENCIES_FILE] = _draw(splits, _draw_frequencies)
    return plots


def _draw(
    splits: Mapping[str, SplitFindings],
    draw: Callable[["Axes", Mapping[str, SplitFindings]], None],
) -> bytes:
    from matplotlib.figure import Figure

    figure = Figure()
    axes = figure.add_subplot()
    draw(axes, splits)
    axes.legend()
    contents = io.BytesIO()
    figure.savefig(contents, format="png", metadata={"Software": "distill"})
    return contents.getvalue()


def _draw_lengths(axes: "Axes", splits: Mapping[str, SplitFindings]) -> None:
    """Draws the percentage of each split's videos by length, as steps."""
    longest = max(
        max(found.frame_counts, default=0) for found in splits.values()
    )
    width = -(-longest // _MOST_BINS)
    # A good video has at least one frame.
    edges = np.arange(0, longest + width, width) + 0.5
    for colour, (name, found) in zip(_COLOURS, splits.items(), strict=False):
        if not found.frame_counts:
            continue
        lengths = np.array(sorted(found.frame_counts))
        videos = np.array([found.frame_counts[each] for each in lengths])
        heights, _ = np.histogram(lengths, edges, weights=videos)
        shares = 100 * heights / videos.sum()
        label = f"{name} ({videos.sum():,} videos)"
        axes.stairs(shares, edges, color=colour, linewidth=1.4, label=label)
        axes.stairs(shares, edges, color=colour, alpha=0.15, fill=True)
    axes.set(
        title="Lengths of the videos",
        xlabel="frames of a video",
        ylabel="% of the videos" + f", by {width} frames" * (width > 1),
        xlim=(0, edges[-1]),
    )
    axes.set_ylim(bottom=0)


def _draw_frequencies(
    axes: "Axes", splits: Mapping[str, SplitFindings]
) -> None:
    """Draws each split's label counts by rank, without unused classes."""
    for colour, (name, found) in zip(_COLOURS, splits.items(), strict=False):
        counts = np.sort(found.label_counts[found.label_counts > 0])[::-1]
        if not counts.size:
            continue
        label = (
            f"{name} ({counts.size:,} of {found.label_counts.size:,} classes)"
        )
        ranks = np.arange(1, counts.size + 1)
        axes.plot(ranks, counts, ".-", color=colour, markersize=3, label=label)
    axes.set(
        title="Frequencies of the labels",
        xlabel="rank of the class",
        ylabel="videos with the label",
        xscale="log",
        yscale="log",
    )
