"""Median times of functions that take turns."""

import statistics
import time
from collections.abc import Callable, Mapping


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
