"""The tables that the tools print."""

import sys
from collections.abc import Iterable, Sequence

import rich.console
import rich.table

_WIDTH_WITHOUT_TERMINAL = 170


def print_table(
    titles: Sequence[str],
    rows: Iterable[Sequence[str]],
    left: Iterable[int] = (0,),
) -> None:
    """Prints a table.

    Args:
      titles: Titles of the columns.
      rows: Cells of each row.
      left: Indexes of the columns that are aligned to the left.
    """
    table = rich.table.Table()
    for index, title in enumerate(titles):
        table.add_column(
            title, justify="left" if index in left else "right", no_wrap=True
        )
    for row in rows:
        table.add_row(*row)
    width = None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL
    rich.console.Console(highlight=False, width=width).print(table)


def format_figure(value: float | None) -> str:
    """Returns three digits or whole thousands; `-` for None."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
