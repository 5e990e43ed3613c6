"""Writes an ensemble of checkpoints and scores it beside its members."""

import dataclasses

from distill.cli import flag_groups as groups
from distill.cli import scoring
from distill.cli.entry_point import start_tensorflow, write_flags
from distill.cli.settings_flags import FLAGS, require, specs
from distill.models.options import option
from distill.networks.ensemble_file import Member, parse_member, parse_weights
from distill.settings.run_options import RunOptions


@dataclasses.dataclass(frozen=True)
class EnsembleFlags:
    """Flags of the ensemble."""

    checkpoints: tuple[str, ...] | None = option(
        None,
        "Members, comma-separated; FILE:teacher and FILE:student name the "
        "network of a file, else --role.",
    )
    role: str = option(
        "student",
        "Network of the checkpoints without a role.",
        choices=("student", "teacher"),
    )
    weights: tuple[str, ...] | None = option(
        None, "Weight of each member, scaled to sum 1. Default: equal weights."
    )
    search_weights: bool = option(
        False,
        "Search the weights of the best GAP on --eval_data_pattern; report "
        "scores on other files.",
    )
    search_steps: int = option(
        20, "Steps of the search, each of which adds a member to the mean."
    )
    ensemble_file: str | None = option(
        None, "The file to write, .json; --checkpoint accepts it."
    )
    metrics_file: str | None = option(
        None, "JSON file for the scores of all, a list."
    )


FLAG_GROUPS = (
    specs(EnsembleFlags),
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
    from distill.evaluation.ensemble_building import EnsembleBuilder
    from distill.evaluation.metrics_files import print_comparison, write_metrics

    builder = EnsembleBuilder(
        scoring.evaluation_reader(members[0].checkpoint, need_labels=True),
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


def _members() -> list[Member]:
    """Returns the members of --checkpoints with their --weights.

    Raises:
      ValueError: The weights are not numbers, or not one for each.
    """
    names = FLAGS.checkpoints
    if FLAGS.weights is not None and FLAGS.search_weights:
        raise ValueError("--weights are given, or searched, not both.")
    weights = parse_weights(FLAGS.weights, len(names), "checkpoints")
    return [
        parse_member(name, FLAGS.role, weight)
        for name, weight in zip(names, weights, strict=True)
    ]
