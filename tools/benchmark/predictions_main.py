"""Runs a million drawn predictions through evaluation and inference.

Prints speed and memory at every tenth. Evaluation's temporary file (in TMPDIR)
takes four bytes a score: 16 GB of a million videos of 3862 classes.
"""

from absl import flags

from distill.cli.entry_point import run, start_tensorflow

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Defines this script's flags."""
    flags.DEFINE_integer("num_videos", 1_000_000, "Videos to draw.")
    flags.DEFINE_integer("num_classes", 3862, "Classes of each video.")
    flags.DEFINE_integer("batch_size", 1024, "Videos a batch.")
    flags.DEFINE_integer("seed", 0, "Seed of the predictions.")
    flags.DEFINE_integer("top_k", 20, "Classes a video in GAP and the CSV.")
    flags.DEFINE_string(
        "output_json",
        "runs/benchmark_predictions.json",
        "Where the figures are written.",
    )


def main() -> None:
    """Measures both and prints the table."""
    start_tensorflow(gpu=-1)
    from tools.benchmark.prediction_report import (
        print_predictions,
        write_predictions_report,
    )
    from tools.benchmark.predictions import (
        PredictionStream,
        measure_predictions,
    )

    stream = PredictionStream(
        FLAGS.num_videos,
        FLAGS.num_classes,
        FLAGS.batch_size,
        FLAGS.seed,
        FLAGS.top_k,
    )
    found = measure_predictions(stream, lambda line: print(line, flush=True))
    print_predictions(found)
    write_predictions_report(FLAGS.output_json, found, stream)
    print(f"wrote {FLAGS.output_json}")


if __name__ == "__main__":
    define_flags()
    run(main)
