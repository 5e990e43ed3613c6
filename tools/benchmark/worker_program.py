"""Program of one worker: times joint steps and sums of arrays.

Usage: python -m tools.benchmark.worker_program PLAN.json RESULT.json
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from distill.distributed.devices import choose_devices
from distill.distributed.workers import Workers
from distill.reporting.timing import time_interleaved
from distill.system.storage import to_path
from distill.training.micro_batches import MicroBatchPlan, count_examples
from tools.benchmark import forward
from tools.benchmark.networks import Case, make_batch, make_distiller
from tools.benchmark.plan import Sizes

_MOST_VALUES = 1_000_000


def time_worker(
    workers: Workers, sizes: Sizes, exchanged: list[int], repeats: int
) -> dict[str, Any]:
    """Returns seconds of `step` and of sums by number of values, as text.

    With them is `num_weights`, the number of values that a step exchanges. All
    workers share one batch.
    """
    case = _make_case(sizes)
    with workers.scope():
        distiller = make_distiller(case, sizes)
    batch = make_batch(case, sizes, sizes.max_frames)
    division = MicroBatchPlan(
        1, workers.num_replicas, workers.num_workers, workers.rank
    )
    micro_batches = division.divide(
        distiller.prepare(batch),
        [count_examples(batch)] * workers.num_workers,
        is_shared=True,
    )

    def step() -> None:
        terms, _ = distiller.step(micro_batches, 1e-3)
        float(terms["loss"])

    num_weights = sum(int(np.prod(v.shape)) for v in distiller.variables)
    functions: dict[str, Callable[[], object]] = {"step": step}
    if workers.num_workers > 1:
        for number in (*exchanged, num_weights):
            functions[str(number)] = _make_sum(workers, number)
    seconds = time_interleaved(functions, repeats)
    return {"num_weights": num_weights, **seconds}


def _make_case(sizes: Sizes) -> Case:
    given = {
        "lstm_cells": sizes.worker_cells,
        "num_inputs_to_lstm": sizes.teacher_blocks,
        "video_level_classifier_model": "LogisticModel",
    }
    blocks = {"num_inputs_to_lstm": sizes.student_blocks}
    return Case("workers", forward.MODEL, given, "joint", blocks)


def _make_sum(workers: Workers, number: int) -> Callable[[], object]:
    """Returns a function that sums so many values over the workers.

    They are arrays of a million values at most, as gradients are several.
    """
    starts = range(0, number, _MOST_VALUES)
    arrays = [tf.ones(min(number - s, _MOST_VALUES)) for s in starts]

    def add(values):
        context = tf.distribute.get_replica_context()
        return context.all_reduce(tf.distribute.ReduceOp.SUM, values)

    @tf.function
    def add_on_replicas():
        return workers.strategy.run(add, args=(arrays,))

    return lambda: add_on_replicas()[-1].numpy()


def main(plan_file: str, result_file: str) -> None:
    """Times this worker; the chief writes the result."""
    plan = json.loads(to_path(plan_file).read_text(encoding="utf-8"))
    workers = choose_devices(-1, "auto")
    with workers.exit_barrier():
        result = time_worker(
            workers,
            Sizes(**plan["sizes"]),
            plan["exchanged"],
            plan["repeats"],
        )
    if workers.is_chief:
        to_path(result_file).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
