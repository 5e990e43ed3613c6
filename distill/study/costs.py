"""Networks' costs at frame budgets: data, arithmetic, time."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from distill.data.records import parse_records
from distill.datasets.shards import to_sequence_example
from distill.distributed.tracing import BatchPolymorphicFunction
from distill.networks.network import Network, build_network, video_inputs
from distill.reporting.timing import time_calls
from distill.settings.schema import DataSchema
from distill.study.plan import Unit
from distill.study.runner import read_json

_BATCH_SIZES = (1, 64)
_REPEATS = 30
_QUARTILES = (0.25, 0.5, 0.75)


class Costs:
    """Costs of students with fresh weights, `all` of which a file keeps."""

    def __init__(self, path: Path):
        self.all = read_json(path) if path.exists() else {}

    def measure(self, unit: Unit, k: int) -> dict[str, Any]:
        """Returns the costs of a unit's student that is scored with k frames.

        Returns:
          Dict of a video of the most frames: `frames_needed`, those that must
          be there; `frames`, those that it classifies, or their means;
          `bytes_read`, the features in a record that holds its inputs alone;
          `macs`. Besides `parameters`; `milliseconds_at_1` and
          `milliseconds_at_64`: the median time of a batch from records of
          whole videos to predictions, divided by its videos. With `_low` and
          `_high` at the end these names hold the quartiles, with `call_` at
          their start the median of a graph that computes nothing.
        """
        student, schema = unit.student, unit.stages[-1].data
        budget = unit.evaluations[k]
        # The width of its training matters, not the budget itself.
        frames = student.budget.width(schema.max_frames)
        scored = dataclasses.replace(student, budget=budget)
        # Files of earlier versions hold times from decoded frames.
        key = repr(("from records", scored, frames, schema))
        if key not in self.all:
            network = build_network(student, schema, "student")
            self.all[key] = _measure(network.at_budget(budget))
        return self.all[key]


def _measure(network: Network) -> dict[str, Any]:
    frames, schema = network.num_frames, network.schema
    num_inputs = network.budget.num_inputs(schema.max_frames)
    value_bytes = np.dtype(schema.frame_type).itemsize
    cost: dict[str, Any] = {
        "frames_needed": network.frames_needed,
        "frames": frames,
        "bytes_read": num_inputs * schema.num_features * value_bytes,
        "macs": network.macs,
        "parameters": network.num_parameters,
    }
    graphs = {
        "": BatchPolymorphicFunction(
            functools.partial(predict_records, network)
        ),
        "call_": BatchPolymorphicFunction(tf.size),
    }
    for size in _BATCH_SIZES:
        records = make_records(schema, size)
        functions = {
            name: functools.partial(_call, graph, records)
            for name, graph in graphs.items()
        }
        for name, seconds in time_calls(functions, _REPEATS).items():
            low, middle, high = 1e3 * np.quantile(seconds, _QUARTILES) / size
            cost[f"{name}milliseconds_at_{size}"] = float(middle)
            if not name:
                cost[f"milliseconds_at_{size}_low"] = float(low)
                cost[f"milliseconds_at_{size}_high"] = float(high)
    return cost


def predict_records(network: Network, records: tf.Tensor) -> tf.Tensor:
    """Returns predictions `[batch, classes]` of `make_records`' strings."""
    # The keys of `to_sequence_example`.
    schema = dataclasses.replace(
        network.schema, id_key="id", labels_key="labels"
    )
    parsed = parse_records(
        records, schema, need_labels=False, budget=network.budget
    )
    return network.predict(video_inputs(parsed))


def make_records(schema: DataSchema, number: int) -> tf.Tensor:
    """Returns random videos of the most frames, strings `[number]`."""
    random, names = np.random.default_rng(0), schema.feature_names
    records = []
    for video in range(number):
        features = {
            name: random.integers(0, 256, (schema.max_frames, size)).astype(
                schema.frame_type
            )
            for name, size in zip(names, schema.feature_sizes, strict=True)
        }
        message = to_sequence_example(str(video), [0], features)
        records.append(message.SerializeToString())
    return tf.constant(records)


def _call(graph: BatchPolymorphicFunction, records: tf.Tensor) -> None:
    graph(records).numpy()
