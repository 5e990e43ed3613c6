"""Runs a million random predictions through evaluation and inference.

Prints speed and memory at every tenth. Evaluation's temporary file (in TMPDIR)
takes four bytes a score: 16 GB for a million videos of 3862 classes.
"""

import dataclasses

from absl import flags

from distill.cli.entry_point import run, start_tensorflow
from distill.cli.settings_flags import read, specs
from distill.models.options import option
from tools.predictions.stream import PredictionStream

FLAGS = flags.FLAGS


@dataclasses.dataclass(frozen=True)
class OutputFlags:
    """The file of the figures."""

    output_json: str = option(
        "runs/benchmark_predictions.json", "File for the figures."
    )


def main() -> None:
    """Measures each in a process of its own and prints the table."""
    stream = read(PredictionStream)
    start_tensorflow(gpu=-1)
    from tools.benchmark.rows import write_report
    from tools.predictions.measurement import WORKS, measure
    from tools.predictions.report import print_measurements
    from tools.process_memory import run_in_new_process

    found = []
    for work in WORKS:
        print(f"{work} of {stream.num_videos:,} videos ...", flush=True)
        found.append(run_in_new_process(measure, work, stream))
    print_measurements(found)
    write_report(
        FLAGS.output_json,
        {"stream": dataclasses.asdict(stream), "works": found},
    )


if __name__ == "__main__":
    run(main, [specs(PredictionStream), specs(OutputFlags)])
