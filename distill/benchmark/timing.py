"""Times of things run side by side, and the rows they become."""

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the benchmark's table.

    Attributes:
      part: What it belongs to: `train`, `forward`, `read` ...
      name: What was run.
      unit: What the figures are in.
      figure: Ours.
      baseline: What ours is held against, in the same run.
      baseline_name: What the baseline is.
      floor: The machine's limit in the same run; None where there is none.
      target: The ratio aimed at, in words; empty for none.
    """

    part: str
    name: str
    unit: str
    figure: float
    baseline: float
    baseline_name: str
    floor: float | None = None
    target: str = ""

    @property
    def over_baseline(self) -> float:
        """Ours over the baseline."""
        return self.figure / self.baseline

    @property
    def over_floor(self) -> float | None:
        """Ours over the floor."""
        return None if self.floor is None else self.figure / self.floor

    @property
    def baseline_over_floor(self) -> float | None:
        """The baseline over the floor."""
        return None if self.floor is None else self.baseline / self.floor


def time_interleaved(
    functions: Mapping[str, Callable[[], object]],
    repeats: int,
    calls_a_turn: int = 1,
) -> dict[str, float]:
    """Returns the median seconds of functions that take turns.

    Each is called once before, which may compile and fill caches.

    Args:
      functions: What to time, by name; each returns when it is done.
      repeats: Turns of each.
      calls_a_turn: Timed calls a turn. With more than one another comes
        before them, after which caches and threads are its own again.
    """
    for function in functions.values():
        function()
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            if calls_a_turn > 1:
                function()
            for _ in range(calls_a_turn):
                start = time.perf_counter()
                function()
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(taken) for name, taken in times.items()}
