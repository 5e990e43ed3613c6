"""Tables, numbers and progress as the terminal shows them."""

import contextlib
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import rich.console
import rich.progress
import rich.table

_WIDTH_WITHOUT_TERMINAL = 120


def print_table(
    titles: Sequence[str],
    rows: Iterable[Sequence[str]],
    left: Collection[int] = (0,),
    width: int = _WIDTH_WITHOUT_TERMINAL,
) -> None:
    """Prints a table.

    The columns of the indexes `left` are aligned to the left. If the output is
    not a terminal, a line has `width` characters.
    """
    table = rich.table.Table()
    for index, title in enumerate(titles):
        table.add_column(
            title, justify="left" if index in left else "right", overflow="fold"
        )
    for row in rows:
        table.add_row(*row)
    fixed = None if sys.stdout.isatty() else width
    rich.console.Console(highlight=False, width=fixed).print(table)


def format_number(value: Any) -> str:
    """Returns a number as a cell shows it; other values as text, None as `-`.

    Floats below 100 have four decimals, larger ones none.
    """
    if isinstance(value, float):
        return f"{value:.4f}" if value < 100 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}"
    return "-" if value is None else str(value)


def print_shard(path: Path, written: bool) -> None:
    """Prints that a shard of data was written or kept, and its size."""
    verb = "wrote" if written else "kept"
    print(f"{verb} {path} ({path.stat().st_size / 1e6:.1f} MB)", flush=True)


def spinner(text: str) -> contextlib.AbstractContextManager:
    """Shows, on a terminal alone, what the body waits for."""
    if not sys.stdout.isatty():
        return contextlib.nullcontext()
    return rich.console.Console(highlight=False).status(text)


@contextlib.contextmanager
def progress_bar(name: str, total: int) -> Iterator[Callable[[int], None]]:
    """Gives a function that shows a count, on a terminal alone, as a bar.

    `total` may be an estimate: it grows with a count that is greater.
    """
    with rich.progress.Progress(
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.MofNCompleteColumn(),
        rich.progress.TimeRemainingColumn(),
        # Lines printed above the bar are not broken.
        console=rich.console.Console(highlight=False, soft_wrap=True),
        disable=not sys.stdout.isatty(),
    ) as bar:
        task = bar.add_task(name, total=total)
        yield lambda count: bar.update(
            task, completed=count, total=max(total, count)
        )


def report_progress(
    counts: Iterable[int],
    estimated: int,
    output_file: str,
    examples: str = "videos",
) -> None:
    """Consumes running counts of predicted examples and prints the result."""
    count = 0
    with progress_bar(examples, estimated) as show:
        for count in counts:
            show(count)
    print(f"wrote the predictions of {count} {examples} to {output_file}")
