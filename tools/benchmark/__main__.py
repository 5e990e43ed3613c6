"""Times the toolkit: benchmark [PART ...].

The parts are train, train_lengths, train_pooling, train_recurrent,
train_video_level, train_student, forward, read, metrics, end_to_end, scoring,
start, export, study, exchange, memory, accelerator, which has to be named, and
video, which needs --clip. Without a part, or with `all`, it times the others.
With KERAS_BACKEND=jax or torch it runs `forward` and `accelerator` alone, which
need no TensorFlow.
"""

import dataclasses
import os
import time

from absl import flags

from distill.cli.entry_point import run, start_tensorflow
from distill.cli.flag_groups import GPU
from distill.cli.settings_flags import read, specs
from distill.models.argument_checks import check_choice
from distill.models.options import option
from distill.settings.extraction import ExtractorSettings

FLAGS = flags.FLAGS


@dataclasses.dataclass(frozen=True)
class BenchmarkSettings:
    """Settings of the benchmark."""

    repeats: int | None = option(
        None, "Timed calls of each function; the median counts.", minimum=1
    )
    batch_size: int | None = option(
        None, "Videos a batch; default: 32.", minimum=1
    )
    small_sizes: bool = option(
        False, "Tiny networks and data, to try the benchmark."
    )
    output_json: str = option("runs/benchmark.json", "File for the figures.")
    clip: str | None = option(
        None,
        "Real footage, of which the videos of the part `video` are made. A "
        "plot of its figures is written beside --output_json.",
    )


def main(*parts: str) -> None:
    """Runs the parts and prints their table."""
    with_tensorflow = os.environ["KERAS_BACKEND"] == "tensorflow"
    if with_tensorflow:
        start_tensorflow(FLAGS.gpu)
    from tools.benchmark.plan import (
        ON_ANY_BACKEND,
        PARTS,
        SMALL,
        Plan,
        measure_part,
    )
    from tools.benchmark.rows import print_rows, write_report
    from tools.benchmark.video_report import report_costs

    for part in parts:
        check_choice("part", part, [*PARTS, "all"])
    every = "all" in parts or not parts
    usual = {*PARTS} - {"accelerator"}
    if FLAGS.clip is None:
        usual -= {"video"}
    chosen = [p for p in PARTS if p in parts or (every and p in usual)]
    if not with_tensorflow and not {*chosen} <= {*ON_ANY_BACKEND}:
        raise ValueError(
            "With another Keras backend than TensorFlow only the parts "
            f"{' and '.join(map(repr, ON_ANY_BACKEND))} run: name them."
        )
    plan = dataclasses.replace(
        SMALL if FLAGS.small_sizes else Plan(),
        clip=FLAGS.clip,
        extractor=read(ExtractorSettings),
    )
    if FLAGS.repeats is not None:
        plan = dataclasses.replace(plan, repeats=FLAGS.repeats)
    if FLAGS.batch_size is not None:
        sizes = dataclasses.replace(plan.sizes, batch_size=FLAGS.batch_size)
        plan = dataclasses.replace(plan, sizes=sizes)
    rows, seconds = [], {}
    for part in chosen:
        print(f"timing {part} ...", flush=True)
        start = time.perf_counter()
        rows += measure_part(part, plan)
        seconds[part] = round(time.perf_counter() - start, 1)
    print_rows(rows, plan.repeats, plan.slow_repeats)
    if "video" in chosen:
        report_costs([r for r in rows if r.part == "video"], FLAGS.output_json)
    write_report(
        FLAGS.output_json,
        {
            "plan": dataclasses.asdict(plan),
            "seconds_of_parts": seconds,
            "rows": [row.to_json() for row in rows],
        },
    )


if __name__ == "__main__":
    image = [f for f in specs(ExtractorSettings) if f.name.startswith("image")]
    run(main, [GPU, specs(BenchmarkSettings), image], words=True)
