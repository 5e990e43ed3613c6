"""Runs a million random predictions through evaluation and inference.

Prints speed and memory at every tenth. Evaluation's temporary file (in TMPDIR)
takes four bytes a score: 16 GB for a million videos of 3862 classes.
"""

import dataclasses

from absl import flags

from distill.cli.entry_point import run, start_tensorflow

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Defines the tool's flags."""
    flags.DEFINE_integer("num_videos", 1_000_000, "Videos to draw.")
    flags.DEFINE_integer("num_classes", 3862, "Classes of each video.")
    flags.DEFINE_integer("batch_size", 1024, "Videos a batch.")
    flags.DEFINE_integer("seed", 0, "Seed of the predictions.")
    flags.DEFINE_integer("top_k", 20, "Classes a video in GAP and the CSV.")
    flags.DEFINE_string(
        "output_json",
        "runs/benchmark_predictions.json",
        "File for the figures.",
    )


def main() -> None:
    """Measures each in a process of its own and prints the table."""
    start_tensorflow(gpu=-1)
    from tools.benchmark.rows import write_report
    from tools.predictions.measurement import WORKS, PredictionStream, measure
    from tools.predictions.report import print_measurements
    from tools.process_memory import run_in_new_process

    names = [field.name for field in dataclasses.fields(PredictionStream)]
    stream = PredictionStream(**{name: FLAGS[name].value for name in names})
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
    define_flags()
    run(main)
