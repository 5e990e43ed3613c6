"""Times the toolkit: benchmark [train|forward|read|metrics|end_to_end|memory].

Without a part, or with `all`, it times everything. With KERAS_BACKEND=jax or
torch it runs `forward` alone, which needs no TensorFlow.
"""

import dataclasses
import os

from absl import flags

from distill.cli.entry_point import run, start_tensorflow
from distill.cli.flag_groups import GPU
from distill.cli.settings_flags import specs
from distill.models.argument_checks import check_choice
from distill.models.options import option

FLAGS = flags.FLAGS


@dataclasses.dataclass(frozen=True)
class BenchmarkSettings:
    """Settings of the benchmark."""

    repeats: int | None = option(
        None, "Timed calls of each function; the median counts.", minimum=1
    )
    small_sizes: bool = option(
        False, "Tiny networks and data, to try the benchmark."
    )
    output_json: str = option("runs/benchmark.json", "File for the figures.")


def main(*parts: str) -> None:
    """Runs the parts and prints their table."""
    with_tensorflow = os.environ["KERAS_BACKEND"] == "tensorflow"
    if with_tensorflow:
        start_tensorflow(FLAGS.gpu)
    from tools.benchmark.plan import PARTS, SMALL, Plan, measure_part
    from tools.benchmark.rows import print_rows, write_report

    for part in parts:
        check_choice("part", part, [*PARTS, "all"])
    chosen = [p for p in PARTS if p in parts or "all" in parts or not parts]
    if not with_tensorflow and chosen != ["forward"]:
        raise ValueError(
            "With another Keras backend than TensorFlow only the part "
            "'forward' runs."
        )
    plan = SMALL if FLAGS.small_sizes else Plan()
    if FLAGS.repeats is not None:
        plan = dataclasses.replace(plan, repeats=FLAGS.repeats)
    rows = []
    for part in chosen:
        print(f"timing {part} ...", flush=True)
        rows += measure_part(part, plan)
    print_rows(rows, plan.repeats)
    write_report(
        FLAGS.output_json,
        {
            "plan": dataclasses.asdict(plan),
            "rows": [row.to_json() for row in rows],
        },
    )


if __name__ == "__main__":
    run(main, [GPU, specs(BenchmarkSettings)], words=True)
