"""The arithmetic of a run over a whole data set, by hand."""

import dataclasses

import pytest

from distill.benchmark.scale import (
    Rates,
    checkpoint_bytes,
    estimate,
    measure_rates,
)
from distill.benchmark.suite import SMALL, choose_sizes
from distill.workers import Workers

# 100 M weights: 400 MB of gradients.
RATES = Rates(50, 2.0, 500.0, 200e3, 100_000_000)


def test_one_machine_exchanges_nothing():
    found = estimate(RATES, 1001, 3, 1, 1e9)
    # 21 steps an epoch, of which the last holds one video.
    assert (found.steps, found.exchange_seconds) == (63, 0)
    assert found.hours == pytest.approx(63 * 2 / 3600)
    assert found.bound == "steps"
    # 50 videos of 200 kB in 2 s.
    assert found.machine_read_bytes == pytest.approx(5e6)


@pytest.mark.parametrize(
    ("machines", "bits", "seconds", "bound"),
    [
        (2, 1e9, 3.2, "exchange"),  # 400 MB each way
        (4, 1e9, 4.8, "exchange"),  # 600 MB
        (4, 10e9, 0.48, "steps"),
    ],
)
def test_a_ring_sends_less_than_twice_the_gradients(
    machines, bits, seconds, bound
):
    found = estimate(RATES, 40_000, 1, machines, bits)
    assert found.exchange_seconds == pytest.approx(seconds)
    assert found.steps == 40_000 // (50 * machines)
    assert found.hours == pytest.approx(found.steps * (2 + seconds) / 3600)
    assert found.bound == bound


def test_what_sends_the_gradients_may_be_slower_than_the_network():
    """Two send 400 MB each at 200 MB/s; three send 4/3 of it."""
    rates = dataclasses.replace(RATES, exchange_bytes=200e6)
    for machines, seconds in ((1, 0), (2, 2), (3, 8 / 3)):
        found = estimate(rates, 3000, 1, machines, 100e9)
        assert found.exchange_seconds == pytest.approx(seconds)
    # 3.2 s by the network.
    assert estimate(rates, 3000, 1, 2, 1e9).exchange_seconds == 3.2


def test_slow_reading_bounds_a_step():
    slow = Rates(50, 2.0, 10.0, 200e3, 1)
    found = estimate(slow, 500, 1, 1, 1e9)
    assert found.bound == "reading"
    assert found.hours == pytest.approx(10 * 5 / 3600)
    assert found.machine_read_bytes == pytest.approx(10 * 200e3)


def test_a_checkpoint_holds_weights_and_moments():
    assert checkpoint_bytes(RATES) == 1_200_000_000


@pytest.mark.parametrize("name", ["num_videos", "num_epochs", "machines"])
def test_numbers_are_at_least_one(name):
    numbers = {"num_videos": 5, "num_epochs": 5, "machines": 5} | {name: 0}
    with pytest.raises(ValueError, match=f"{name} must be 1 or more, got 0"):
        estimate(RATES, network_bits=1e9, **numbers)


def test_rates_are_measured_of_the_sizes():
    found = measure_rates(choose_sizes(True, 3), Workers(), 9, 1)
    assert found.batch_size == 3
    assert found.step_seconds > 0 and found.read_videos > 0
    frames = SMALL.sizes.max_frames * sum(SMALL.sizes.feature_sizes)
    assert frames < found.video_bytes < 2 * frames + 500
    assert found.exchange_bytes is None
