"""Times of functions that are called in turn."""

import resource
import statistics
import time
from collections.abc import Callable, Mapping


def time_calls(
    functions: Mapping[str, Callable[[], object]],
    repeats: int,
    calls_a_turn: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Returns the seconds of every call of functions that are called in turn.

    Each is called once before, which may compile and fill caches. In each of
    the `repeats` turns a function has `calls_a_turn` timed calls; above 1 an
    untimed one comes first, so that caches and threads serve this function.
    `clock` is read before and after a call.
    """
    for function in functions.values():
        function()
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            if calls_a_turn > 1:
                function()
            for _ in range(calls_a_turn):
                start = clock()
                function()
                times[name].append(clock() - start)
    return times


def time_interleaved(
    functions: Mapping[str, Callable[[], object]],
    repeats: int,
    calls_a_turn: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Returns the median seconds of each function of `time_calls`."""
    times = time_calls(functions, repeats, calls_a_turn, clock)
    return {name: statistics.median(taken) for name, taken in times.items()}


def median_seconds(function: Callable[[], object], repeats: int) -> float:
    """Returns the median seconds of a function, after one untimed call."""
    return time_interleaved({"": function}, repeats)[""]


def processor_seconds() -> float:
    """Returns the processor time of this process and of those it has ended.

    Other programs on the machine change it little.
    """
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    used = map(resource.getrusage, whose)
    return sum(each.ru_utime + each.ru_stime for each in used)
