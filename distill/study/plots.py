"""Plots of a study's accuracy over frames, arithmetic and time."""

import dataclasses
import io
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from distill.reporting.page import (
    PLOT_COLOURS,
    PLOT_STYLE,
    Plot,
    write_png,
)
from distill.study.aggregate import COMPARED_METRICS, Statistic, StudySummary
from distill.study.plot_flaws import LATENCIES, find_flaw
from distill.study.whole_cost import WHOLE_COSTS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

# Okabe and Ito's palette for the colour-blind, without black and yellow.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
_MARKERS = ("s", "^", "D", "v", "P", "X")
_LEGEND_LETTERS = 30
# Inches: a line of the legend, and the smallest height of a plot.
_LEGEND_LINE, _HEIGHT = 0.22, 5.0
# Distance of points of equal x, and the largest of all: shares of the width.
_STEP, _SPREAD = 0.005, 0.06
# An axis is logarithmic from this ratio of its ends.
_LOGARITHMIC = 2.5
_MOST_TICKS = 12
# The teacher is left out of the frames' axis beyond this multiple of the
# budgets.
_NEAR = 4
_STYLE = PLOT_STYLE | {
    "figure.figsize": (8.8, _HEIGHT),
    "svg.fonttype": "path",
    "svg.hashsalt": "distill",
    "axes.titlesize": 13,
    "axes.titlepad": 24,
    "axes.facecolor": "none",
    "axes.spines.left": False,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "lines.markersize": 7,
    "lines.markeredgewidth": 0.6,
    "errorbar.capsize": 2.5,
    "legend.handlelength": 3,
}


class _Axis(NamedTuple):
    """The x axis of a plot: a cost and, if any, a cascade's value of it."""

    cost: str
    label: str
    cascade_value: str = ""


_AXES = (
    _Axis("frames", "frames classified a video", "mean_frames"),
    _Axis("frames_needed", "frames needed a video", "frames_needed"),
    _Axis("macs", "MACs of a video", "macs"),
    # The cascades are timed in batches of 64.
    *(
        _Axis(time, label, "milliseconds" if time.endswith("_64") else "")
        for time, label in LATENCIES.items()
    ),
    *(
        _Axis(
            cost,
            label,
            "" if cost.endswith("_1") else cost.removesuffix("_at_64"),
        )
        for cost, label in WHOLE_COSTS.items()
    ),
)
# A figure of every axis and metric; a report may have fewer of them.
PLOT_NAMES = tuple(
    f"{name.lower()}_{axis.cost}.svg"
    for axis in _AXES
    for name in COMPARED_METRICS.values()
)


@dataclasses.dataclass(frozen=True)
class _Line:
    """Points of a row, a cascade or the teacher; NaN for missing ones.

    `spread` `[2, points]` is the distance of a position from its quartiles.
    """

    name: str
    style: dict[str, Any]
    positions: np.ndarray
    scores: Sequence[Statistic]
    spread: np.ndarray | None = None

    @property
    def means(self) -> np.ndarray:
        """The points' heights; NaN also where the position is missing."""
        heights = np.array([s.mean for s in self.scores], float)
        return heights + 0 * self.positions

    @property
    def last_mean(self) -> float:
        """The last height; NaN without a point."""
        return [np.nan, *self.means[np.isfinite(self.means)]][-1]


def draw_plots(summary: StudySummary) -> list[Plot]:
    """Draws GAP and mAP over frames, MACs and milliseconds.

    The rows of `StudySummary.highlights` are in colour, the others grey; lines
    of means are dashed. A plot without any point is left out, and so is one
    with a flaw (`distill.study.plot_flaws`). Without means a student needs just
    the frames that it classifies, and one plot shows both. Raises an
    ImportError if matplotlib is not installed.
    """
    import matplotlib

    with matplotlib.rc_context(_STYLE):
        return [
            _draw_plot(summary, axis, metric, rows)
            for axis in _AXES
            if _tells_something(summary, axis.cost)
            for metric in COMPARED_METRICS
            if (rows := _row_lines(summary, axis, metric))
        ]


def _tells_something(summary: StudySummary, cost: str) -> bool:
    if cost == "frames_needed":
        return True in summary.families
    return cost == "frames" or not find_flaw(summary, cost)


def _row_lines(summary: StudySummary, axis: _Axis, metric: str) -> list[_Line]:
    """Returns the rows with a point, best at the most frames first."""
    lines = []
    for row in summary.rows:
        cells = sorted(row.cells.items())
        positions = [
            k if axis.cost == "frames" else (cell.cost or {}).get(axis.cost)
            for k, cell in cells
        ]
        style = _row_style(summary, row.name)
        if any(cell.averages for _, cell in cells):
            style["linestyle"] = "--"
        line = _Line(
            row.name,
            style,
            np.array(positions, float),
            [cell.scores[metric] for _, cell in cells],
            _measured_spread([cell.cost for _, cell in cells], axis.cost),
        )
        lines.append(line)
    lines = [line for line in lines if np.isfinite(line.last_mean)]
    return sorted(lines, key=lambda line: line.last_mean, reverse=True)


def _row_style(summary: StudySummary, name: str) -> dict[str, Any]:
    if name == summary.baseline:
        ink = PLOT_COLOURS["ink"]
        return {"color": ink, "marker": "o", "linewidth": 2.4, "zorder": 6}
    if name not in summary.highlights:
        return {
            "color": PLOT_COLOURS["other"],
            "marker": "o",
            "markersize": 4,
            "linewidth": 1,
            "zorder": 3,
        }
    names = [name for name in summary.highlights if name != summary.baseline]
    index = names.index(name) % len(_COLOURS)
    return {"color": _COLOURS[index], "marker": _MARKERS[index], "zorder": 5}


def _measured_spread(
    costs: Sequence[Mapping[str, Any] | None], time: str
) -> np.ndarray | None:
    """Returns `_Line.spread`; None if no quartiles were measured."""
    middle, low, high = (
        np.array([(cost or {}).get(time + end) for cost in costs], float)
        for end in ("", "_low", "_high")
    )
    spread = np.stack([middle - low, high - middle])
    return spread if np.isfinite(spread).any() else None


def _cascade_lines(
    summary: StudySummary, axis: _Axis, metric: str
) -> list[_Line]:
    if not axis.cascade_value:
        return []
    lines = []
    for number, cascade in enumerate(summary.cascades):
        frames = f"{cascade.wanted_mean_frames:g}"
        name = f"{cascade.row}: cascade, {frames} frames on average"
        style = {
            "color": _row_style(summary, cascade.row)["color"],
            "marker": "*H8"[number % 3],
            "linestyle": "none",
            "markersize": 11,
            "markeredgecolor": PLOT_COLOURS["ink"],
            "zorder": 7,
        }
        places = np.array([cascade.values[axis.cascade_value].mean], float)
        lines.append(_Line(name, style, places, [cascade.values[metric]]))
    return [line for line in lines if np.isfinite(line.last_mean)]


def _teacher_line(summary: StudySummary, axis: _Axis, metric: str) -> _Line:
    """Returns the teacher's point; one without x if it is too far away."""
    name, position = "Teacher, all frames", None
    if cost := summary.teacher_cost:
        name = f"Teacher, all {cost['frames']:,} frames"
        is_far = cost["frames"] > _NEAR * max(summary.budgets)
        if axis.cost != "frames" or not is_far:
            position = cost.get(axis.cost)
    style = {"color": PLOT_COLOURS["teacher"], "marker": "*", "markersize": 12}
    return _Line(
        name,
        style,
        np.array([position], float),
        [summary.teacher[metric]],
        _measured_spread([summary.teacher_cost], axis.cost),
    )


def _draw_plot(
    summary: StudySummary, axis: _Axis, metric: str, rows: list[_Line]
) -> Plot:
    from matplotlib.figure import Figure

    name = COMPARED_METRICS[metric]
    title = f"{name} over {axis.label}"
    figure = Figure()
    axes = figure.add_subplot(title=title, xlabel=axis.label, ylabel=name)
    teacher = _teacher_line(summary, axis, metric)
    cascades = _cascade_lines(summary, axis, metric)
    _scale(axes, axis, [teacher, *rows], cascades)
    in_colour = [row for row in rows if row.name in summary.highlights]
    others = [row for row in rows if row not in in_colour]
    handles = _draw_teacher(axes, teacher)
    for line in (*_side_by_side(axes, in_colour), *cascades):
        handles.append(_draw_line(axes, line))
    handles += _draw_others(axes, others)
    figure.legend(handles=handles, loc="outside right upper")
    lines_beside = sum(1 + str(h.get_label()).count("\n") for h in handles)
    figure.set_figheight(max(_HEIGHT, _LEGEND_LINE * (1 + lines_beside)))
    seeds = _describe_seeds([*rows, *cascades])
    if any(line.spread is not None for line in rows):
        seeds += " Bars along x: quartiles of the calls."
    above = ((0, 1), (0, 9), "axes fraction", "offset points")
    subtitle = axes.annotate(seeds, *above, color=PLOT_COLOURS["muted"])
    subtitle.set_in_layout(False)
    svg = io.StringIO()
    metadata = {"Title": title, "Date": None, "Creator": "distill"}
    figure.savefig(svg, format="svg", metadata=metadata)
    file_name = f"{name.lower()}_{axis.cost}.svg"
    return Plot(file_name, title, svg.getvalue(), write_png(figure))


def _scale(
    axes: "Axes", axis: _Axis, lines: list[_Line], cascades: list[_Line]
) -> None:
    """Sets limits and ticks along x; frames have a tick at each number."""
    from matplotlib import ticker

    ticks = np.unique(np.concatenate([line.positions for line in lines]))
    places = [*ticks, *(line.positions[0] for line in cascades)]
    for line in lines:
        if line.spread is not None:
            low, high = line.spread
            places += [*(line.positions - low), *(line.positions + high)]
    smallest, largest = np.nanmin(places), np.nanmax(places)
    ratio = largest / smallest
    if ratio >= _LOGARITHMIC:
        axes.set_xscale("log")
        axes.set_xlim(smallest / ratio**0.05, largest * ratio**0.05)
        steps = (1, 2, 5) if ratio > 8 else (1, 1.5, 2, 3, 5, 7)
        axes.xaxis.set_major_locator(ticker.LogLocator(subs=steps))
        axes.xaxis.set_minor_locator(ticker.NullLocator())
    else:
        margin = 0.05 * (largest - smallest or largest)
        axes.set_xlim(smallest - margin, largest + margin)
    if axis.cost.startswith("frames"):
        ticks = ticks[np.isfinite(ticks)]
        axes.set_xticks(ticks[:: 1 + len(ticks) // _MOST_TICKS])
    in_thousands = ticker.EngFormatter(sep=" ")
    axes.xaxis.set_major_formatter("{x:g}" if largest < 1e3 else in_thousands)


def _side_by_side(axes: "Axes", rows: list[_Line]) -> Iterator[_Line]:
    """Yields the rows with points of equal x side by side."""
    if not rows:
        return
    is_log = axes.get_xscale() == "log"
    scale, unscale = (np.log, np.exp) if is_log else (np.copy, np.copy)
    width = np.ptp(scale(axes.get_xlim()))
    places = scale(np.stack([line.positions for line in rows]))
    for column in places.T:
        for place in np.unique(column):
            same = np.flatnonzero(column == place)
            step = width * min(_STEP, _SPREAD / max(1, len(same)))
            column[same] += step * (np.arange(len(same)) - (len(same) - 1) / 2)
    for line, positions in zip(rows, unscale(places), strict=True):
        yield dataclasses.replace(line, positions=positions)


def _draw_teacher(axes: "Axes", teacher: _Line) -> list["Line2D"]:
    mean, deviation = teacher.scores[0].mean, teacher.scores[0].deviation or 0
    if mean is None:
        return []
    colour, band = teacher.style["color"], (mean - deviation, mean + deviation)
    axes.axhline(mean, color=colour, zorder=2)
    axes.axhspan(*band, color=colour, alpha=0.25, linewidth=0, zorder=1)
    return [_draw_line(axes, teacher)]


def _draw_others(axes: "Axes", lines: list[_Line]) -> list["Line2D"]:
    """Draws lines without bars; returns one handle for them all."""
    points = [
        axes.plot(line.positions, line.means, **line.style)[0] for line in lines
    ]
    noun = "method" if len(points) == 1 else "methods"
    for point in points[:1]:
        point.set_label(f"{len(points)} other {noun}")
    return points[:1]


def _draw_line(axes: "Axes", line: _Line) -> "Line2D":
    """Draws points with error bars; returns the handle for the legend."""
    points, _, _ = axes.errorbar(
        line.positions,
        line.means,
        yerr=np.array([score.deviation for score in line.scores], float),
        xerr=line.spread,
        elinewidth=1.1,
        **({"markeredgecolor": PLOT_COLOURS["paper"]} | line.style),
    )
    # Legends set formulas in "$" and skip labels that begin with "_".
    name = "\n".join(textwrap.wrap(line.name, _LEGEND_LETTERS))
    points.set_label(re.sub("^_", " _", name.replace("$", r"\$")))
    return points


def _describe_seeds(lines: list[_Line]) -> str:
    numbers = {s.num_seeds for line in lines for s in line.scores} - {0}
    if max(numbers) == 1:
        return "One seed."
    seeds = " to ".join(map(str, sorted({min(numbers), max(numbers)})))
    return f"Means of {seeds} seeds; bars: one standard deviation."
