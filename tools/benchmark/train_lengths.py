"""Joint steps on videos of 120 to 300 frames, mixed and bucketed by length."""

import functools
import statistics

import keras
import numpy as np
import tensorflow as tf

from distill.data.length_buckets import BATCHES_SORTED
from distill.reporting.timing import time_interleaved
from tools.benchmark.networks import (
    Batch,
    Case,
    hierarchical_lstms,
    make_batch,
    make_distiller,
)
from tools.benchmark.plan import Plan, Sizes
from tools.benchmark.rows import Row
from tools.benchmark.steps import run_step
from tools.benchmark.train import shortest_video
from tools.benchmark.train_models import POOLING, RECURRENT

# Of the buckets from the shortest to the longest: their mean is that of all.
_TIMED = (1, 5, 10, 14)


def measure(plan: Plan) -> list[Row]:
    """Returns a row for each model, beside batches of mixed lengths."""
    hierarchical = hierarchical_lstms(plan.sizes, "hierarchical LSTM", "joint")
    return [
        _measure(case, plan) for case in (hierarchical, *RECURRENT, *POOLING)
    ]


def _measure(case: Case, plan: Plan) -> Row:
    sizes = plan.sizes
    distiller = make_distiller(case, sizes)
    mixed = make_batch(case, sizes, shortest_video(sizes))
    batches = {"mixed": mixed} | {
        str(index): _take_bucket(mixed, index, sizes) for index in _TIMED
    }
    seconds = time_interleaved(
        {
            name: functools.partial(run_step, distiller, batch)
            for name, batch in batches.items()
        },
        plan.slow_repeats,
    )
    keras.backend.clear_session()
    baseline = seconds.pop("mixed")
    return Row(
        "train_lengths",
        f"joint step, {case.name}, bucketed by length",
        "s a step",
        statistics.mean(seconds.values()),
        baseline,
        "ours, mixed lengths",
        details=seconds,
    )


def _take_bucket(mixed: Batch, index: int, sizes: Sizes) -> Batch:
    """Returns a batch with the lengths of one of the sorted buckets."""
    count = BATCHES_SORTED * sizes.batch_size
    lengths = np.linspace(shortest_video(sizes), sizes.max_frames, count)
    bucket = np.split(lengths.round().astype(np.int32), BATCHES_SORTED)[index]
    return mixed | {"num_frames": tf.constant(bucket)}
