"""Networks' costs at frame budgets: data, arithmetic, time."""

import dataclasses
import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from distill.distributed.tracing import BatchPolymorphicFunction
from distill.networks.network import Network, build_network
from distill.reporting.timing import time_calls
from distill.study.plan import Unit

_BATCH_SIZES = (1, 64)
_REPEATS = 30
_QUARTILES = (0.25, 0.5, 0.75)


class Costs:
    """Costs of students with fresh weights, `all` of which a file keeps."""

    def __init__(self, path: Path):
        self.all = json.loads(path.read_text()) if path.exists() else {}

    def measure(self, unit: Unit, k: int) -> dict[str, Any]:
        """Returns the costs of a unit's student that is scored with k frames.

        Returns:
          Dict of `frames`, the most it sees of a video; `bytes_read` and `macs`
          of such a video; `parameters`; `milliseconds_at_1` and
          `milliseconds_at_64`: the median time of a batch from frames as read
          to predictions, divided by its videos. With `_low` and `_high` at
          the end these names hold the quartiles, with `call_` at their start
          the median of a graph that computes nothing.
        """
        student, schema = unit.student, unit.stages[-1].data
        budget = unit.evaluations[k]
        # The width of its training matters, not the budget itself.
        frames = student.budget.width(schema.max_frames)
        scored = dataclasses.replace(student, budget=budget)
        key = repr((scored, frames, schema))
        if key not in self.all:
            network = build_network(student, schema, "student")
            self.all[key] = _measure(network.at_budget(budget))
        return self.all[key]


def _measure(network: Network) -> dict[str, Any]:
    frames, width = network.num_frames, network.schema.num_features
    cost: dict[str, Any] = {
        "frames": frames,
        "bytes_read": frames * width,
        "macs": network.macs,
        "parameters": network.num_parameters,
    }
    for size in _BATCH_SIZES:
        shape = (size, frames, width)
        values = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        inputs = {
            "frames": tf.constant(values),
            "num_frames": tf.fill([size], frames),
        }

        graphs = {
            "": network.compiled_predict,
            "call_": BatchPolymorphicFunction(
                lambda given: given["num_frames"]
            ),
        }
        functions = {
            name: functools.partial(_call, graph, inputs)
            for name, graph in graphs.items()
        }
        for name, seconds in time_calls(functions, _REPEATS).items():
            low, middle, high = 1e3 * np.quantile(seconds, _QUARTILES) / size
            cost[f"{name}milliseconds_at_{size}"] = float(middle)
            if not name:
                cost[f"milliseconds_at_{size}_low"] = float(low)
                cost[f"milliseconds_at_{size}_high"] = float(high)
    return cost


def _call(graph: BatchPolymorphicFunction, inputs: dict) -> None:
    graph(inputs).numpy()
