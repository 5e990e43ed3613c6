"""Fits weights of prediction files to labels, for `average_predictions`."""

from distill.cli.entry_point import write_flags
from distill.cli.settings_flags import FLAGS, Flag, require, specs
from distill.settings.run_options import RunOptions

OWN_FLAGS = (
    Flag(
        "predictions",
        "Prediction CSV files of the same videos, comma-separated.",
        tuple[str, ...],
    ),
    Flag(
        "labels",
        "Globs of CSV files of labels (`distill write_labels`), "
        "comma-separated.",
    ),
    Flag(
        "method",
        "weights, class_weights or stacking. weights: of the mean, one for "
        "each file; class_weights: one for each file and class; stacking: of "
        "each class a logistic regression on the files' logits.",
        default="weights",
        choices=("weights", "class_weights", "stacking"),
    ),
    Flag(
        "shrinkage",
        "How strongly a class is held to all classes. In class_weights so "
        "many videos speak for the weights of all; in stacking it is the "
        "factor of half the squared distance in the loss.",
        float,
        10.0,
    ),
    Flag(
        "hold_out",
        "Share of the videos, drawn by id, to score and not to fit. 0: the "
        "printed scores are of the fitted videos.",
        float,
        0.0,
    ),
    Flag("output_file", "The JSON file to write."),
    Flag("metrics_file", "JSON file for the scores, a list."),
)
FLAG_GROUPS = (OWN_FLAGS, specs(RunOptions, "top_k"))


def main() -> None:
    """Writes the weights; prints the scores of files and combination."""
    require("predictions", "labels", "output_file")

    from distill.evaluation.metrics_files import print_comparison, write_metrics
    from distill.evaluation.prediction_files.files import match_files
    from distill.evaluation.prediction_files.fitting import (
        FitSettings,
        fit_predictions,
    )

    fitted, scores = fit_predictions(
        FLAGS.predictions,
        match_files(FLAGS.labels, "labels"),
        FitSettings(FLAGS.method, FLAGS.shrinkage, FLAGS.hold_out),
        FLAGS.top_k,
    )
    fitted.write(FLAGS.output_file)
    print_comparison(scores)
    number = next(iter(scores.values()))["num_videos"]
    if FLAGS.hold_out:
        print(f"scores of {number} videos that were not fitted")
    else:
        print(
            f"WARNING: scores of the {number} videos that were fitted are too "
            "good (--hold_out=0.5 keeps half of them out of the fit)"
        )
    names = (
        [*fitted.files, "bias"] if FLAGS.method == "stacking" else fitted.files
    )
    for name, weight in zip(names, fitted.weights, strict=True):
        print(f"{weight:8.4f} {name}")
    write_flags(FLAGS.output_file)
    if FLAGS.metrics_file:
        rows = [{"role": name} | each for name, each in scores.items()]
        write_metrics(FLAGS.metrics_file, rows)
    print(
        f"wrote {FLAGS.output_file}, fitted to {fitted.num_videos} videos, "
        f"{len(fitted.class_weights)} classes of their own"
    )
