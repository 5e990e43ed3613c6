"""A run as the terminal shows it: a bar and a row an epoch, or plain lines."""

import dataclasses
import datetime
import textwrap
from collections.abc import Iterable, Mapping

import rich.console
import rich.progress
import rich.table

MOST_COLUMNS = 100
_CELL_WIDTH = 8
# Long enough for networks whose steps take minutes.
_ETA_SECONDS = 1800


@dataclasses.dataclass(frozen=True)
class StepState:
    """How a run stands after a step.

    Attributes:
      step: Steps of the run so far.
      epoch: The current epoch, from 1.
      loss: Of the step.
      gaps: GAP on the last batch that was scored, by network.
      rate: Examples a second.
    """

    step: int
    epoch: int
    loss: float
    gaps: Mapping[str, float]
    rate: float


class RunDisplay:
    """Prints the lines of a run, above a progress bar where a terminal is.

    A terminal has the bar and a table with a row an epoch. Elsewhere every
    logged step is a line too. A step, a row and its titles have at most 100
    columns; messages, which may hold paths, are not broken.

    Args:
      first_step: The step from which the run goes on.
      total_steps: Estimated number of steps of the whole run.
      num_epochs: Epochs of the whole run.
      examples: The word for what a batch holds: `videos` or `segments`.
      show_terms: Whether each logged step shows the terms of the loss.
      quiet: Whether nothing is printed.
    """

    def __init__(
        self,
        first_step: int,
        total_steps: int,
        num_epochs: int = 1,
        *,
        examples: str = "videos",
        show_terms: bool = False,
        quiet: bool = False,
    ):
        self.examples = examples
        self._num_epochs = num_epochs
        self._show_terms = show_terms
        self._titles: list[str] = []
        self._console = rich.console.Console(
            highlight=False, soft_wrap=True, quiet=quiet
        )
        self._bar = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(bar_width=12),
            rich.progress.MofNCompleteColumn(),
            # A narrow terminal breaks this text, and cuts no other.
            rich.progress.TextColumn(
                "{task.fields[status]}", table_column=rich.table.Column()
            ),
            rich.progress.TextColumn("ETA"),
            rich.progress.TimeRemainingColumn(),
            console=self._console,
            disable=quiet or not self._console.is_terminal,
            speed_estimate_period=_ETA_SECONDS,
        )
        self._task = self._bar.add_task(
            "training",
            total=total_steps,
            completed=first_step,
            status="the first step builds the graph",
        )

    def start(self) -> None:
        """Shows the bar."""
        self._bar.start()

    def stop(self) -> None:
        """Removes the bar."""
        self._bar.stop()

    def say(self, message: str) -> None:
        """Prints a message."""
        self._titles = []
        self._console.print(message, markup=False)

    def set_total(self, total_steps: int) -> None:
        """Corrects the estimated number of steps."""
        self._bar.update(self._task, total=total_steps)

    def start_validation(self) -> None:
        """Shows that the networks are being scored."""
        self._bar.update(self._task, status="validation")

    def show_step(self, state: StepState) -> None:
        """Moves the bar."""
        self._bar.update(
            self._task,
            completed=state.step,
            description=f"epoch {state.epoch}/{self._num_epochs}",
            status=self._describe(state),
        )

    def print_step(self, state: StepState, terms: Mapping[str, float]) -> None:
        """Prints a logged step where there is no bar, and terms on demand."""
        if self._console.is_terminal and not self._show_terms:
            return
        left = self._bar.tasks[0].time_remaining
        eta = "-" if left is None else datetime.timedelta(seconds=round(left))
        self.say(
            f"step {state.step} epoch {state.epoch}  {self._describe(state)}  "
            f"ETA {eta}"
        )
        if self._show_terms:
            listed = " ".join(f"{n}={value:.4g}" for n, value in terms.items())
            for line in textwrap.wrap(
                listed,
                MOST_COLUMNS,
                initial_indent="  ",
                subsequent_indent="  ",
                break_on_hyphens=False,
            ):
                self.say(line)

    def print_epoch(self, cells: Mapping[str, str]) -> None:
        """Prints the row of an epoch, by title.

        The titles come first unless the line above is a row under them.
        """
        titles = list(cells)
        widths = [max(len(title), _CELL_WIDTH) for title in titles]
        rows: list[Iterable[str]] = [cells.values()]
        if titles != self._titles:
            rows.insert(0, titles)
        for row in rows:
            pairs = zip(row, widths, strict=True)
            self.say("  ".join(f"{cell:>{width}}" for cell, width in pairs))
        self._titles = titles

    def _describe(self, state: StepState) -> str:
        parts = [f"loss {state.loss:.3g}"]
        if state.gaps:
            gaps = (f"{role} {gap:.3f}" for role, gap in state.gaps.items())
            parts.append(f"GAP {' '.join(gaps)}")
        return "  ".join([*parts, f"{state.rate:.0f} {self.examples}/s"])
