"""Clocks of timed calls."""

import itertools
import resource
import types

from distill.reporting import timing


def test_the_given_clock_is_read_before_and_after_each_call():
    moments = itertools.accumulate(itertools.cycle([100, 2, 100, 5]))
    times = timing.time_calls(
        {"a": lambda: None, "b": lambda: None}, 2, clock=lambda: next(moments)
    )
    assert times == {"a": [2, 2], "b": [5, 5]}


def test_processor_time_is_that_of_all_threads_and_of_ended_processes(
    monkeypatch,
):
    used = {
        resource.RUSAGE_SELF: types.SimpleNamespace(ru_utime=8, ru_stime=4),
        resource.RUSAGE_CHILDREN: types.SimpleNamespace(ru_utime=2, ru_stime=1),
    }
    monkeypatch.setattr(resource, "getrusage", used.get)
    assert timing.processor_seconds() == 15
