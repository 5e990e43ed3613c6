"""Prints what a checkpoint holds: settings, progress, variables, norms."""

from distill.cli.entry_point import start_tensorflow
from distill.cli.settings_flags import FLAGS, Flag, require

OWN_FLAGS = (
    Flag(
        "checkpoint",
        "The checkpoint, or the directory of a run for its best or newest.",
    ),
    Flag("variables", "List every variable.", bool, True),
)
FLAG_GROUPS = (OWN_FLAGS,)


def main() -> None:
    """Prints the settings, then a row for each variable."""
    require("checkpoint")
    start_tensorflow(gpu=-1)

    from distill.checkpoints.checkpoint import find_checkpoint
    from distill.checkpoints.inspection import describe_checkpoint
    from distill.reporting.console import print_table

    found = describe_checkpoint(find_checkpoint(FLAGS.checkpoint))
    print_table(("setting", "value"), found.settings, left=(0, 1))
    if FLAGS.variables:
        rows = [row.cells() for row in found.variables]
        titles = ("variable", "shape", "values", "norm", "least", "greatest")
        print_table(titles, rows)
    rows = [
        (group, f"{number:,}", f"{values:,}")
        for group, (number, values) in found.totals().items()
    ]
    print_table(("group", "variables", "values"), rows)
