"""A network's costs at a frame budget: data, arithmetic, time."""

from typing import Any

import numpy as np
import tensorflow as tf

from distill.models.frame_budget import FrameBudget
from distill.networks.network import build_network
from distill.reporting.timing import median_seconds
from distill.settings.run import NetworkSettings
from distill.settings.schema import DataSchema

_BATCH_SIZES = (1, 64)
_REPEATS = 30


def measure_cost(
    settings: NetworkSettings, schema: DataSchema, budget: FrameBudget
) -> dict[str, Any]:
    """Measures a network with fresh weights at a budget of frames.

    Returns:
      Dict of `frames`, the most it sees of a video; `bytes_read` and `macs` of
      such a video; `parameters`; `milliseconds_at_1` and `milliseconds_at_64`:
      the median time of a batch from frames as read to predictions, divided
      by its videos.
    """
    network = build_network(settings, schema, "student").at_budget(budget)
    frames = network.num_frames
    cost: dict[str, Any] = {
        "frames": frames,
        "bytes_read": frames * schema.num_features,
        "macs": network.macs,
        "parameters": network.num_parameters,
    }
    for size in _BATCH_SIZES:
        shape = (size, frames, schema.num_features)
        values = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        inputs = {
            "frames": tf.constant(values),
            "num_frames": tf.fill([size], frames),
        }

        def predict(inputs: Any = inputs) -> None:
            network.compiled_predict(inputs).numpy()

        seconds = median_seconds(predict, _REPEATS)
        cost[f"milliseconds_at_{size}"] = 1e3 * seconds / size
    return cost
