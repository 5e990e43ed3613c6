"""Scores a checkpoint, every new one as it appears, or an artifact."""

from absl import flags

from distill.cli import (
    data_settings,
    distribution_flags,
    flag_sets,
    scoring_flags,
    scoring_settings,
)
from distill.cli.entry_point import run, write_flags

FLAGS = flags.FLAGS


def define_flags() -> None:
    """Defines this script's flags."""
    flag_sets.define_experiment_flags()
    scoring_flags.define_scoring_flags()
    flags.DEFINE_boolean(
        "run_once",
        True,
        "Score one checkpoint; false: score every new one in --train_dir.",
    )
    flags.DEFINE_float(
        "poll_seconds", 10.0, "With --run_once=false: seconds between looks."
    )
    flags.DEFINE_string(
        "metrics_file",
        None,
        "JSON file for the metrics; with --role=both a list of two objects.",
    )


def main() -> None:
    """Scores the networks and prints the table."""
    data_settings.require("eval_data_pattern")

    workers = distribution_flags.start_workers()
    from distill.checkpoints.checkpoint import follow
    from distill.evaluation.evaluate import write_metrics
    from distill.reporting.console import print_scores

    networks = ("teacher", "student") if FLAGS.role == "both" else (FLAGS.role,)
    if FLAGS.run_once:
        chosen = [scoring_settings.scored_file()]
    else:
        data_settings.require("train_dir")
        if workers.num_workers > 1:
            raise ValueError("--run_once=false is for one process.")
        chosen = follow(FLAGS.train_dir, FLAGS.poll_seconds)
    for checkpoint in chosen:
        reader = scoring_settings.evaluation_reader(
            checkpoint, need_labels=True
        )
        with workers.exit_barrier():
            scores = [
                scoring_settings.score(
                    checkpoint,
                    role,
                    reader,
                    distribution_flags.sharing(workers),
                )
                for role in networks
            ]
        if not workers.is_chief:
            continue
        print_scores(scores)
        if FLAGS.metrics_file:
            write_metrics(
                FLAGS.metrics_file, scores if len(scores) > 1 else scores[0]
            )
            write_flags(FLAGS.metrics_file)


def start() -> None:
    """Defines the flags and runs the verb."""
    define_flags()
    run(main)
