"""Timing of training steps: ours, plain ones and their floor."""

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping

import keras
import numpy as np

from distill.models import registry
from distill.reporting.timing import time_interleaved
from distill.training.distiller import Distiller
from tools.benchmark.limits import MatrixProduct, MemoryCopy
from tools.benchmark.networks import (
    Batch,
    Case,
    count_macs,
    make_batch,
    make_distiller,
)
from tools.benchmark.plain_step import PlainStep, check_steps
from tools.benchmark.plan import Plan
from tools.benchmark.rows import Row

# Adam reads a weight, its gradient and its two moments; it writes three.
_BYTES_A_PARAMETER = 28
# A longer step is timed once.
_VERY_SLOW_SECONDS = 5.0


@dataclasses.dataclass(frozen=True)
class Rates:
    """The machine's limits, timed in turn with the steps.

    Attributes:
      macs: MACs a second of a large matrix product, by precision.
      copied: Bytes a second of a large memory copy.
    """

    macs: Mapping[str, float]
    copied: float

    def floor(
        self,
        distiller: Distiller,
        videos: Batch,
        read: Batch,
        precision: str = "float32",
    ) -> float:
        """Returns the least seconds of a step.

        Three times the MACs of the networks that train and once those of the
        frozen ones, at the rate of the matrix product; the update and the
        inputs' bytes at the rate of the copy.

        Args:
          distiller: The trainer.
          videos: The whole videos, whose real frames count.
          read: The batch as the step gets it.
          precision: That of the products.
        """
        macs = 3 * count_macs(distiller.networks.values(), videos)
        macs += count_macs(distiller.frozen_teachers, videos)
        num_weights = sum(int(np.prod(v.shape)) for v in distiller.variables)
        num_bytes = _BYTES_A_PARAMETER * num_weights
        num_bytes += sum(value.numpy().nbytes for value in read.values())
        return macs / self.macs[precision] + num_bytes / self.copied


def time_steps(
    functions: Mapping[str, Callable[[], object]], repeats: int
) -> tuple[dict[str, float], Rates]:
    """Returns the median seconds of functions, and the machine's limits."""
    products = {name: MatrixProduct(name) for name in registry.PRECISIONS}
    one, copy = np.zeros((1, 1), np.float32), MemoryCopy()
    limits: dict[str, Callable[[], object]] = {
        name: functools.partial(product.predict_on_batch, one)
        for name, product in products.items()
    }
    seconds = time_interleaved({**functions, **limits, "copy": copy}, repeats)
    macs = {name: each.rate(seconds[name]) for name, each in products.items()}
    return seconds, Rates(macs, copy.rate(seconds["copy"]))


def run_step(distiller: Distiller, batch: Batch) -> np.ndarray:
    """Makes a step; returns its loss."""
    terms, _ = distiller.train_step(batch, 1e-3)
    return terms["loss"].numpy()


def measure_case(case: Case, part: str, plan: Plan) -> Row:
    """Returns the row of a kind of training, beside its plain formulation.

    Raises:
      ValueError: The plain formulation gives other predictions.
    """
    sizes = plan.sizes
    distiller = make_distiller(case, sizes)
    plain = PlainStep(distiller)
    batch = make_batch(case, sizes, sizes.max_frames)
    check_steps(plain, batch)
    run_step(distiller, batch)
    start = time.perf_counter()
    run_step(distiller, batch)
    is_very_slow = time.perf_counter() - start > _VERY_SLOW_SECONDS
    seconds, rates = time_steps(
        {
            "ours": lambda: run_step(distiller, batch),
            "plain": lambda: plain.train_step(batch).numpy(),
        },
        1 if is_very_slow else plan.slow_repeats,
    )
    videos = make_batch(
        dataclasses.replace(case, teacher="any"), sizes, sizes.max_frames
    )
    floor = rates.floor(distiller, videos, batch)
    keras.backend.clear_session()
    return Row(
        part,
        case.name,
        "s a step",
        seconds["ours"],
        seconds["plain"],
        "Keras's layers and Adam",
        floor,
        "<= 1.3 x floor",
    )
