"""Writes an ensemble of checkpoints and scores it beside its members."""

from absl import flags

from distill.cli import data_settings, flag_sets, scoring_settings
from distill.cli.entry_point import run, start_tensorflow, write_flags

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Defines this script's flags."""
    flag_sets.define_experiment_flags()
    flags.DEFINE_list(
        "checkpoints",
        None,
        "Members, comma-separated; FILE:teacher and FILE:student say which "
        "network of a file, else --role.",
    )
    flags.DEFINE_enum(
        "role",
        "student",
        ["student", "teacher"],
        "Network of the checkpoints that do not say.",
    )
    flags.DEFINE_list(
        "weights",
        None,
        "Weight of each member, scaled to sum 1; default: equal ones.",
    )
    flags.DEFINE_boolean(
        "search_weights",
        False,
        "Search the weights of the best GAP on --eval_data_pattern; report "
        "scores on other files.",
    )
    flags.DEFINE_integer(
        "search_steps",
        20,
        "Steps of the search, each of which adds a member to the mean.",
    )
    flags.DEFINE_string(
        "ensemble_file",
        None,
        "The file to write, .json; --checkpoint takes it in place of one.",
    )
    flags.DEFINE_string(
        "metrics_file", None, "JSON file for the scores of all, a list."
    )


def main() -> None:
    """Writes the file and prints a row a member and one of all."""
    data_settings.require("checkpoints", "eval_data_pattern", "ensemble_file")
    members = scoring_settings.ensemble_members()

    start_tensorflow(FLAGS.gpu)
    from distill.evaluation.ensemble_building import EnsembleBuilder
    from distill.evaluation.evaluate import write_metrics
    from distill.reporting.console import print_comparison

    builder = EnsembleBuilder(
        scoring_settings.evaluation_reader(
            members[0].checkpoint, need_labels=True
        ),
        FLAGS.top_k,
        FLAGS.mixed_precision,
    )
    steps = FLAGS.search_steps if FLAGS.search_weights else None
    scores = builder.build(members, FLAGS.ensemble_file, steps)
    print_comparison(
        {f"{s['weight']:.3f} {name}": s for name, s in scores.items()}
    )
    print(f"wrote {FLAGS.ensemble_file}")
    write_flags(FLAGS.ensemble_file)
    if FLAGS.metrics_file:
        write_metrics(FLAGS.metrics_file, list(scores.values()))


def start() -> None:
    """Defines the flags and runs the verb."""
    define_flags()
    run(main)
