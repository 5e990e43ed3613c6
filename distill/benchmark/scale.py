"""How long a run over a whole data set takes: rates measured here, and sums.

A step takes what one machine needs for its share of the batch and, of several,
the exchange of the gradients: a ring sends and receives 2 (n - 1) / n of their
bytes, at the network's rate or, where that was measured and is slower, at the
rate of what sends them. Reading goes on beside the steps and bounds them.
"""

import dataclasses
import statistics
import tempfile
import time

import numpy as np
import tensorflow as tf

from distill.benchmark.forward import Sizes
from distill.benchmark.train import (
    make_batch,
    make_distiller,
    make_schema_of,
)
from distill.data.files import find_files
from distill.data.pipeline import VideoReader
from distill.data.synthetic import write_synthetic_data
from distill.data.synthetic_settings import SyntheticSettings
from distill.workers import Workers
from models.argument_checks import check_at_least

_BYTES_A_GRADIENT = 4
_PASSES = 8
_BYTES_A_CHECKPOINT = 12  # a weight and its two moments


@dataclasses.dataclass(frozen=True)
class Rates:
    """What was measured on this machine.

    Attributes:
      batch_size: Videos of the step that was timed.
      step_seconds: Of the joint step, median.
      read_videos: Whole videos read a second.
      video_bytes: Bytes of one of them in its file.
      parameters: Weights that train.
      exchange_bytes: Gradients' bytes summed a second between two workers;
        None if it is not known.
    """

    batch_size: int
    step_seconds: float
    read_videos: float
    video_bytes: float
    parameters: int
    exchange_bytes: float | None = None


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A run of some machines.

    Attributes:
      machines: How many.
      network_bits: Bits a second that each sends and receives.
      steps: In all epochs.
      exchange_seconds: Of a step.
      hours: In all.
      bound: What it waits for: `steps`, `exchange` or `reading`.
      machine_read_bytes: Bytes a second that each reads.
    """

    machines: int
    network_bits: float
    steps: int
    exchange_seconds: float
    hours: float
    bound: str
    machine_read_bytes: float


def measure_rates(
    sizes: Sizes,
    workers: Workers,
    num_videos: int,
    repeats: int,
    exchange_bytes: float | None = None,
) -> Rates:
    """Measures this machine; with several workers also their exchange.

    Args:
      sizes: The networks and each machine's batch.
      workers: The processes.
      num_videos: Synthetic videos of full length that are read.
      repeats: Timed steps, passes and exchanges, of which the median counts.
      exchange_bytes: Of one worker: the exchange's rate, if it is known.
    """
    distiller = make_distiller(sizes, "float32")
    batch = make_batch(sizes, sizes.max_frames)
    step = _median(
        lambda: float(distiller.train_step(batch, 1e-3)[0]["loss"]), repeats
    )
    parameters = sum(int(np.prod(v.shape)) for v in distiller.variables)
    read_videos, video_bytes = _measure_reading(sizes, num_videos, repeats)
    exchange = exchange_bytes
    if workers.count > 1:
        exchange = _measure_exchange(workers, parameters, repeats)
    return Rates(
        sizes.batch_size, step, read_videos, video_bytes, parameters, exchange
    )


def _median(function, repeats):
    function()
    taken = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken)


def _measure_reading(sizes, num_videos, repeats):
    settings = SyntheticSettings(
        split="train",
        num_videos=num_videos,
        num_shards=8,
        feature_sizes=sizes.feature_sizes,
        num_classes=sizes.num_classes,
        max_frames=sizes.max_frames,
        min_frames=sizes.max_frames,
    )
    with tempfile.TemporaryDirectory(prefix="distill-scale-") as folder:
        for _ in write_synthetic_data(settings, folder):
            pass
        files = find_files(f"{folder}/train-*")
        total = sum(tf.io.gfile.stat(file).length for file in files)
        # Several passes are timed as one, lest its start count for much.
        reader = VideoReader(
            make_schema_of(sizes), files * _PASSES, sizes.batch_size
        )
        seconds = _median(lambda: sum(1 for _ in reader.read_once()), repeats)
    return _PASSES * num_videos / seconds, total / num_videos


def _measure_exchange(workers, parameters, repeats):
    """Returns the gradients' bytes that are summed a second."""

    def add():
        context = tf.distribute.get_replica_context()
        gradients = tf.zeros([parameters])
        return context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)

    @tf.function(autograph=False)
    def sum_gradients():
        summed = workers.strategy.run(add)
        return workers.strategy.experimental_local_results(summed)[0][0]

    def exchange():
        return float(sum_gradients())

    workers.wait()
    return _BYTES_A_GRADIENT * parameters / _median(exchange, repeats)


def estimate(
    rates: Rates,
    num_videos: int,
    num_epochs: int,
    machines: int,
    network_bits: float,
) -> Estimate:
    """Returns what a run takes on machines such as the one measured.

    Args:
      rates: What was measured; every machine takes such a batch a step.
      num_videos: Training videos.
      num_epochs: Passes over them.
      machines: How many.
      network_bits: Bits a second that each sends, and receives.

    Raises:
      ValueError: A number is below 1.
    """
    check_at_least(
        1,
        num_videos=num_videos,
        num_epochs=num_epochs,
        machines=machines,
        network_bits=network_bits,
    )
    steps = -(-num_videos // (machines * rates.batch_size)) * num_epochs
    sent = 2 * (machines - 1) / machines
    gradient_bytes = _BYTES_A_GRADIENT * rates.parameters
    exchange = 8 * sent * gradient_bytes / network_bits
    if machines > 1 and rates.exchange_bytes is not None:
        # Measured between two, each of which sends all of them once.
        exchange = max(exchange, sent * gradient_bytes / rates.exchange_bytes)
    reading = rates.batch_size / rates.read_videos
    computing = rates.step_seconds + exchange
    step = max(computing, reading)
    bound = "steps" if exchange < rates.step_seconds else "exchange"
    return Estimate(
        machines,
        network_bits,
        steps,
        exchange,
        steps * step / 3600,
        bound if computing >= reading else "reading",
        rates.batch_size * rates.video_bytes / step,
    )


def checkpoint_bytes(rates: Rates) -> int:
    """Returns the bytes of a joint checkpoint with Adam's moments."""
    return _BYTES_A_CHECKPOINT * rates.parameters
