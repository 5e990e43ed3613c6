"""Writes an ensemble of checkpoints and scores it beside its members."""

from distill.cli import flag_groups as groups
from distill.cli import scoring
from distill.cli.entry_point import start_tensorflow, write_flags
from distill.cli.settings_flags import FLAGS, Flag, require, specs
from distill.networks.ensemble_file import Member, parse_member, parse_weights
from distill.settings.run_options import RunOptions

OWN_FLAGS = (
    Flag(
        "checkpoints",
        "Members, comma-separated; FILE:teacher and FILE:student name the "
        "network of a file, else --role.",
        tuple[str, ...],
    ),
    Flag(
        "role",
        "Network of the checkpoints without a role: student or teacher.",
        default="student",
        choices=("student", "teacher"),
    ),
    Flag(
        "weights",
        "Weight of each member, scaled to sum 1. Default: equal weights.",
        tuple[str, ...],
    ),
    Flag(
        "search_weights",
        "Search the weights of the best GAP on --eval_data_pattern; report "
        "scores on other files.",
        bool,
        False,
    ),
    Flag(
        "search_steps",
        "Steps of the search, each of which adds a member to the mean.",
        int,
        20,
    ),
    Flag("ensemble_file", "The file to write, .json; --checkpoint accepts it."),
    Flag("metrics_file", "JSON file for the scores of all, a list."),
)
FLAG_GROUPS = (
    OWN_FLAGS,
    groups.EVALUATION_FILES,
    groups.LAYOUT,
    groups.READING,
    specs(RunOptions, "top_k"),
    groups.GPU,
)


def main() -> None:
    """Writes the file and prints a row a member and one of all."""
    require("checkpoints", "eval_data_pattern", "ensemble_file")
    members = _members()

    start_tensorflow(FLAGS.gpu)
    from distill.evaluation.ensemble_building import build_ensemble
    from distill.evaluation.metrics_files import print_comparison, write_metrics

    scores = build_ensemble(
        scoring.evaluation_reader(members[0].checkpoint, need_labels=True),
        members,
        FLAGS.ensemble_file,
        search_steps=FLAGS.search_steps if FLAGS.search_weights else None,
        top_k=FLAGS.top_k,
        precision=FLAGS.mixed_precision,
    )
    print_comparison(
        {f"{s['weight']:.3f} {name}": s for name, s in scores.items()}
    )
    print(f"wrote {FLAGS.ensemble_file}")
    write_flags(FLAGS.ensemble_file)
    if FLAGS.metrics_file:
        write_metrics(FLAGS.metrics_file, list(scores.values()))


def _members() -> list[Member]:
    """Returns the members of --checkpoints with their --weights."""
    names = FLAGS.checkpoints
    if FLAGS.weights is not None and FLAGS.search_weights:
        raise ValueError("--weights are given, or searched, not both.")
    weights = parse_weights(FLAGS.weights, len(names), "checkpoints")
    return [
        parse_member(name, FLAGS.role, weight)
        for name, weight in zip(names, weights, strict=True)
    ]
