"""The loss curves of one training on several backends, and how they part."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from distill.reporting.page import PLOT_STYLE, Plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from tools.backends.training import TrainedBackend

# Okabe and Ito's palette for the colour-blind. Curves lie on one another:
# each is thinner than the one before.
_COLOURS = {"tensorflow": "#e69f00", "torch": "#0072b2", "jax": "#009e73"}
_WIDTHS = (5.0, 2.6, 1.1)
_DOTS_PER_INCH = 150
_STYLE = PLOT_STYLE | {
    "figure.figsize": (8.8, 5.6),
    "svg.fonttype": "path",
    "svg.hashsalt": "distill",
    "axes.titlesize": 11,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}
_TITLE = "Loss of each step on Keras's backends"


def draw_losses(found: "Sequence[TrainedBackend]") -> Plot:
    """Draws the losses and, of several backends, their differences.

    Raises an ImportError if matplotlib is not installed.
    """
    import matplotlib

    svg, png = io.StringIO(), io.BytesIO()
    metadata = {"Title": _TITLE, "Date": None, "Creator": "distill"}
    with matplotlib.rc_context(_STYLE):
        figure = make_figure(found)
        figure.savefig(svg, format="svg", metadata=metadata)
        figure.savefig(png, format="png", dpi=_DOTS_PER_INCH)
    return Plot("training.svg", _TITLE, svg.getvalue(), png.getvalue())


def make_figure(found: "Sequence[TrainedBackend]") -> "Figure":
    """Returns the figure of `draw_losses`, in the current style."""
    from matplotlib.figure import Figure

    figure = Figure()
    if len(found) == 1:
        _draw_curves(figure.add_subplot(), found)
    else:
        upper, lower = figure.subplots(2, sharex=True, height_ratios=(3, 2))
        _draw_curves(upper, found)
        _draw_differences(lower, found)
    figure.axes[-1].set_xlabel("step")
    return figure


def _draw_curves(axes: "Axes", found: "Sequence[TrainedBackend]") -> None:
    axes.set_title(_TITLE)
    axes.set_yscale("log")
    for width, each in zip(_WIDTHS, found, strict=False):
        axes.plot(
            np.arange(1, len(each.losses) + 1),
            each.losses,
            color=_COLOURS[each.backend],
            linewidth=width,
            label=each.backend,
        )
    axes.legend()


def _draw_differences(axes: "Axes", found: "Sequence[TrainedBackend]") -> None:
    first, *others = found
    axes.set_title(
        f"Largest difference from {first.backend} so far, relative to the loss"
    )
    axes.set_yscale("log")
    for each in others:
        relative = each.loss_differences(first) / first.losses
        largest = np.maximum.accumulate(relative)
        # Equal losses have no place on a logarithmic axis.
        axes.plot(
            np.arange(1, len(largest) + 1),
            np.where(largest > 0, largest, np.nan),
            color=_COLOURS[each.backend],
            linewidth=1.8,
            label=each.backend,
        )
    axes.legend(loc="lower right")
