"""The table and the plot of what a label costs by frame budget."""

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from distill.reporting.page import (
    PLOT_COLOURS,
    PLOT_STYLE,
    Paragraph,
    Section,
    Table,
    render_markdown,
    write_percent,
    write_png,
)
from distill.system.atomic_files import replace_atomically
from tools.benchmark.plan import READ_COST, READ_SHARE
from tools.benchmark.rows import Row, format_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_STAGES = {
    "decoding": "#0072b2",
    "extraction": "#d55e00",
    "classification": "#009e73",
}
_COLOURS = ("#1f2328", "#0072b2", "#009e73", "#e69f00", "#cc79a7", "#d55e00")
_MARKERS = "os^DvP"
_HEADER = (
    "footage: seconds between key frames",
    *("frames", "opening", "decoding", "extraction", "classification"),
    *("sum", "share of all frames", "measured as one"),
    *("G MACs, extraction", "classification"),
)


def report_costs(rows: Sequence[Row], output_json: str) -> None:
    """Prints the costs as a table of Markdown and writes their plot."""
    table = Table(_HEADER, tuple(map(_cells, rows)))
    about = (
        "Milliseconds of processor time, and billions of MACs, of one label. "
        "The share is that of opening, decoding and extraction:"
    )
    section = Section("The cost of a label", (Paragraph((about,)), table))
    print(render_markdown("Benchmark", [section]))
    try:
        png = draw_costs([row.details for row in rows])
    except ImportError:
        print("There is no plot: `pip install -e .[study]` installs matplotlib")
        return
    path = PurePath(output_json).with_suffix(".png")
    with replace_atomically(str(path)) as temporary:
        temporary.write_bytes(png)
    print(f"wrote {path}")


def _cells(row: Row) -> tuple[str, ...]:
    cost = row.details
    macs = cost["extraction_macs"], cost["classification_macs"]
    return (
        cost["footage"],
        str(cost["frames"]),
        format_figure(cost["opening"]),
        format_figure(cost["decoding"] - cost["opening"]),
        format_figure(cost["extraction"]),
        format_figure(cost["classification"]),
        format_figure(row.figure + cost["classification"]),
        write_percent(row.over_baseline),
        format_figure(cost["end_to_end"]),
        *(format_figure(None if n is None else n / 1e9) for n in macs),
    )


def draw_costs(costs: Sequence[Mapping[str, Any]]) -> bytes:
    """Draws the stages of the first footage, and the share of all frames.

    Raises:
      ImportError: Matplotlib is not installed.
    """
    import matplotlib
    from matplotlib.figure import Figure

    footage = list(dict.fromkeys(cost["footage"] for cost in costs))
    with matplotlib.rc_context(PLOT_STYLE):
        figure = Figure(figsize=(11, 4.4))
        left, right = figure.subplots(1, 2)
        _draw_stages(
            left, [cost for cost in costs if cost["footage"] == footage[0]]
        )
        for number, name in enumerate(footage):
            some = [cost for cost in costs if cost["footage"] == name]
            colour = _COLOURS[number % len(_COLOURS)]
            marker = _MARKERS[number % len(_MARKERS)]
            _draw_share(right, some, colour, marker)
        _mark_target(right, max(cost["frames"] for cost in costs))
        right.set(
            title="Decoding and extraction",
            xlabel="frames of a label",
            ylabel="share of that of all frames, %",
        )
        right.legend(title="seconds between key frames")
        return write_png(figure)


def _draw_stages(axes: "Axes", costs: Sequence[Mapping[str, Any]]) -> None:
    """Draws a bar of stacked stages for each budget."""
    places = range(len(costs))
    bottoms = [0.0] * len(costs)
    for stage, colour in _STAGES.items():
        heights = [cost[stage] for cost in costs]
        axes.barh(places, heights, left=bottoms, color=colour, label=stage)
        bottoms = [b + h for b, h in zip(bottoms, heights, strict=True)]
    for place, total in enumerate(bottoms):
        axes.annotate(f" {format_figure(total)}", (total, place), va="center")
    axes.set_yticks(places, [str(cost["frames"]) for cost in costs])
    axes.margins(x=0.12)
    axes.set_axisbelow(True)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set(
        title=f"{costs[0]['footage']} between key frames",
        xlabel="milliseconds of processor time",
        ylabel="frames of a label",
    )
    axes.legend()


def _draw_share(
    axes: "Axes", costs: Sequence[Mapping[str, Any]], colour: str, marker: str
) -> None:
    reading = [cost["decoding"] + cost["extraction"] for cost in costs]
    frames = [cost["frames"] for cost in costs]
    shares = [100 * each / reading[-1] for each in reading]
    axes.plot(
        frames,
        shares,
        color=colour,
        marker=marker,
        markeredgecolor=PLOT_COLOURS["paper"],
        label=costs[0]["footage"],
    )
    axes.set(xscale="log", yscale="log")
    axes.set_xticks(frames, map(str, frames), minor=False)
    axes.minorticks_off()
    axes.yaxis.set_major_formatter("{x:g}")


def _mark_target(axes: "Axes", most: int) -> None:
    """Draws the greatest share that a part of the frames is to cost."""
    axes.plot(
        [READ_SHARE * most],
        [100 * READ_COST],
        color=PLOT_COLOURS["muted"],
        marker="_",
        markersize=24,
        linestyle="none",
        label=f"target: {100 * READ_COST:g} %",
    )
