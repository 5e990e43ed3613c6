"""What a check of the data prints: progress, then a short table."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping

import rich.console
import rich.progress
import rich.table

from distill.datasets.check.check import DataFindings, Split
from distill.datasets.check.sections import SUMMARY_HEADER, summary_rows


@contextlib.contextmanager
def show_progress(
    splits: Mapping[str, Split],
) -> Iterator[Callable[[int], None]]:
    """Gives what is told the number of files read; a bar on a terminal."""
    total = sum(len(split.files) for split in splits.values())
    with rich.progress.Progress(
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TimeRemainingColumn(),
        console=rich.console.Console(highlight=False),
        disable=not sys.stdout.isatty(),
    ) as bar:
        task = bar.add_task("files", total=total)
        yield lambda done: bar.update(task, completed=done)


def print_findings(found: DataFindings, seconds: float) -> None:
    """Prints a row a split, then what is bad, a line each.

    Args:
      found: What was found.
      seconds: What it took.
    """
    width = None if sys.stdout.isatty() else 150
    console = rich.console.Console(highlight=False, width=width)
    table = rich.table.Table(SUMMARY_HEADER[0])
    for title in SUMMARY_HEADER[1:]:
        table.add_column(title, justify="right")
    for row in summary_rows(found):
        table.add_row(*row)
    console.print(table)
    for line in _describe_bad(found):
        print(line)
    splits = found.splits.values()
    records = sum(each.total("records") for each in splits)
    megabytes = sum(each.total("bytes") for each in splits) / 1e6
    print(
        f"{'Something is bad' if found.is_bad else 'All is well'}: {records:,} "
        f"records in {seconds:.1f} s ({records / seconds:,.0f} records/s, "
        f"{megabytes / seconds:,.0f} MB/s)"
    )


def _describe_bad(found: DataFindings) -> Iterator[str]:
    for name, each in found.splits.items():
        for reason, count in sorted(each.bad.items()):
            file, number, problem = each.examples[reason].kept[0]
            yield (
                f"{name}: {count:,} records, {reason}; for example "
                f"{each.split.files[file]}, record {number}: {problem}"
            )
        for file in sorted(each.damage)[:1]:
            others = len(each.damage) - 1
            more = f" ({others:,} files more are damaged.)" if others else ""
            yield f"{name}: {each.damage[file]}{more}"
        if not each.total("good"):
            yield f"{name}: there is no good record."
    for (first, second), twice in found.duplicates.items():
        if first == second:
            yield f"{first}: {twice.num_ids:,} ids come more than once"
        else:
            yield f"{first} and {second}: {twice.num_ids:,} ids come in both"
