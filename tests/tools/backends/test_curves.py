"""The plot of a training holds the losses and how far they part."""

import numpy as np
import pytest

from tools.backends.curves import draw_losses, make_figure
from tools.backends.training import TrainedBackend


def trained(backend, *losses):
    return TrainedBackend(backend, "CPU", losses, (9.0, 1.0, 1.0), 1, {})


FOUND = (
    trained("tensorflow", 8.0, 4.0, 2.0),
    trained("torch", 8.0, 4.4, 2.1),
    trained("jax", 8.8, 4.0, 2.0),
)


def test_the_upper_plot_holds_the_loss_of_each_step():
    upper, _ = make_figure(FOUND).axes
    for line, each in zip(upper.lines, FOUND, strict=True):
        assert line.get_label() == each.backend
        np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3])
        np.testing.assert_array_equal(line.get_ydata(), each.losses)


def test_the_lower_plot_holds_the_largest_relative_difference_so_far():
    _, lower = make_figure(FOUND).axes
    torch, jax = lower.lines
    # No place on a logarithmic axis: equal losses.
    np.testing.assert_allclose(torch.get_ydata(), [np.nan, 0.1, 0.1])
    np.testing.assert_allclose(jax.get_ydata(), [0.1, 0.1, 0.1])


def test_one_backend_alone_has_one_plot():
    assert len(make_figure(FOUND[:1]).axes) == 1
    plot = draw_losses(FOUND[:1])
    assert plot.png.startswith(b"\x89PNG")
    assert "<svg" in plot.svg


@pytest.mark.parametrize(
    ("seconds", "expected"), [((9.0, 5.0, 4.0), None), ((9, 5, 4, 2, 1), 1.5)]
)
def test_the_time_of_a_step_is_the_median_after_the_first_three(
    seconds, expected
):
    found = TrainedBackend("jax", "CPU", (), seconds, 1, {})
    assert found.step_seconds == expected
    assert found.first_step_seconds == 9
