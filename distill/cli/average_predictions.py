"""Combines files of predictions: means of several kinds, maximum, fitted."""

from distill.cli.entry_point import write_flags
from distill.cli.settings_flags import FLAGS, Flag, require, specs
from distill.settings.run_options import RunOptions

OWN_FLAGS = (
    Flag(
        "predictions", "Prediction CSV files, comma-separated.", tuple[str, ...]
    ),
    Flag(
        "combine",
        "mean, max, rank_mean or power_mean (--power). rank_mean: of the "
        "share of a file's listed scores that are not above a score.",
        default="mean",
        choices=("mean", "max", "rank_mean", "power_mean"),
    ),
    Flag(
        "power",
        "Exponent of power_mean. 1: the mean; 0: the geometric mean, where a "
        "class that a file does not list counts as 1e-6.",
        float,
    ),
    Flag(
        "weights",
        "Weight of each file, scaled to sum 1; or uniform, or std. std: of "
        "each video the standard deviation of a file's scores. Default: "
        "uniform.",
        tuple[str, ...],
    ),
    Flag(
        "fitted",
        "File of `distill fit_weights`, in place of --combine and --weights.",
    ),
    Flag(
        "allow_fitted_videos",
        "Combine also videos that --fitted was fitted to.",
        bool,
        False,
    ),
    Flag("output_file", "The CSV file to write."),
)
FLAG_GROUPS = (OWN_FLAGS, specs(RunOptions, "top_k"))


def main() -> None:
    """Writes the combination and says of how many videos."""
    require("predictions", "output_file")

    from distill.evaluation.prediction_files.combining import (
        STD,
        Combination,
        combine_predictions,
    )
    from distill.evaluation.prediction_files.fitted_weights import (
        FittedWeights,
        apply_fitted,
    )
    from distill.networks.ensemble_file import parse_weights

    files, output = FLAGS.predictions, FLAGS.output_file
    weights, method = FLAGS.weights, FLAGS.combine
    if FLAGS.fitted is not None:
        if weights is not None or method != "mean" or FLAGS.power is not None:
            raise ValueError(
                "--fitted decides how files are combined: give no --combine, "
                "--power or --weights."
            )
        count, warning = apply_fitted(
            files,
            FittedWeights.read(FLAGS.fitted),
            output,
            FLAGS.top_k,
            FLAGS.allow_fitted_videos,
        )
        method = "fitted combination"
        if warning:
            print(f"WARNING: {warning}")
    else:
        if weights == (STD,):
            weights = STD
        elif weights is not None and weights != ("uniform",):
            weights = parse_weights(weights, len(files), "predictions")
        else:
            weights = None
        combination = Combination(method, weights, FLAGS.power)
        count = combine_predictions(files, combination, output, FLAGS.top_k)
    write_flags(output)
    print(f"wrote the {method} of {count} videos to {output}")
