"""Two workers beside one process, and what the exchange of gradients costs."""

import contextlib
import dataclasses
import io
import json
import tempfile
from typing import Any

from distill.distributed.launcher import launch_workers
from distill.reporting.timing import median_seconds
from distill.system.storage import to_path
from tools.benchmark.limits import MemoryCopy
from tools.benchmark.plan import Plan
from tools.benchmark.rows import Row

_PROGRAM = "tools.benchmark.worker_program"
# Both workers read both gradients and write their sum, 4 bytes a value.
_BYTES_A_VALUE = 24


def measure(plan: Plan) -> list[Row]:
    """Returns the rows of a shared step, and of sums by number of values."""
    one, two = (_run_workers(number, plan) for number in (1, 2))
    rate = MemoryCopy.rate(median_seconds(MemoryCopy(), plan.repeats))
    exchange = two[str(two["num_weights"])]
    step = Row(
        "exchange",
        f"joint step of {two['num_weights'] / 1e6:.1f} M weights, two workers",
        "s a step",
        two["step"],
        one["step"],
        "one process",
        one["step"] + exchange,
        "<= 1.1 x floor",
        details={"one": one, "two": two},
    )
    sums = [
        Row(
            "exchange",
            f"sum of {number:,} gradients over two workers",
            "s",
            two[str(number)],
            floor=number * _BYTES_A_VALUE / rate,
        )
        for number in plan.exchanged
    ]
    return [step, *sums]


def _run_workers(number: int, plan: Plan) -> dict[str, Any]:
    """Returns what `worker_program` measures with so many workers.

    Raises:
      RuntimeError: A worker failed; the message is what they printed.
    """
    with tempfile.TemporaryDirectory(prefix="distill-benchmark-") as folder:
        files = [f"{folder}/{name}.json" for name in ("plan", "result")]
        plan_file, result_file = map(to_path, files)
        content = dataclasses.asdict(plan) | {"repeats": plan.slow_repeats}
        plan_file.write_text(json.dumps(content), encoding="utf-8")
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            status = launch_workers(number, [_PROGRAM, *files])
        if status:
            raise RuntimeError(f"A worker failed:\n{printed.getvalue()}")
        return json.loads(result_file.read_text(encoding="utf-8"))
