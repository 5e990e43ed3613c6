"""What a network costs at a frame budget: data, arithmetic, time."""

from typing import Any

import numpy as np
import tensorflow as tf

from distill.models.frame_budget import FrameBudget
from distill.networks.network import Network, build_network
from distill.reporting.timing import median_seconds
from distill.settings.run import NetworkSettings
from distill.settings.schema import DataSchema

_BATCH_SIZES = (1, 64)
_REPEATS = 30


def measure_cost(
    settings: NetworkSettings, schema: DataSchema, budget: FrameBudget
) -> dict[str, Any]:
    """Measures a network with fresh weights at a budget.

    Args:
      settings: The network's.
      schema: The data's.
      budget: The frames it sees at evaluation.

    Returns:
      Dict of `frames`, the most it sees of a video; `bytes_read` of them;
      `macs` of a video of that many; `parameters`;
      `milliseconds_at_1` and `milliseconds_at_64`, a video's share of the
      median time of a batch, from frames as read to predictions.
    """
    network = build_network(settings, schema, "student").at_budget(budget)
    cost = {
        "frames": network.num_frames,
        "bytes_read": network.num_frames * schema.num_features,
        "macs": network.macs,
        "parameters": network.num_parameters,
    }
    for batch_size in _BATCH_SIZES:
        seconds = _time_batch(network, schema, batch_size)
        cost[f"milliseconds_at_{batch_size}"] = 1e3 * seconds / batch_size
    return cost


def _time_batch(network: Network, schema: DataSchema, batch_size: int) -> float:
    """Returns the median seconds of a batch's predictions."""
    shape = (batch_size, network.num_frames, schema.num_features)
    frames = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    inputs = {
        "frames": tf.constant(frames),
        "num_frames": tf.fill([batch_size], network.num_frames),
    }
    return median_seconds(
        lambda: network.compiled_predict(inputs).numpy(), _REPEATS
    )
