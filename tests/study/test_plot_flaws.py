"""Plots over costs that do not depend on the frames are left out."""

import pytest

from distill.study.aggregate import summarize_study
from distill.study.plot_flaws import find_flaw, has_spread

TIME = "milliseconds_at_1"


def make_summary(*costs):
    """Returns a study of a row for each dict of costs by frames.

    A dict may come with another, of what averages frames.
    """
    rows = [
        {
            "name": f"row {index}",
            "flags": "",
            "baseline": "row 0",
            "num_wanted": 2,
            "runs": [],
            "costs": by_frames,
            "averages": averages,
        }
        for index, cost in enumerate(costs)
        for by_frames, averages in [
            cost if isinstance(cost, tuple) else (cost, {})
        ]
    ]
    return summarize_study(
        {
            "budgets": [1, 5],
            "seeds": [0],
            "baseline": "row 0",
            "teacher": {"runs": [], "cost": None},
            "rows": rows,
            "cascades": [],
        }
    )


def time_cost(middle, low=None, high=None, call=None, parameters=9):
    cost = {"parameters": parameters, TIME: middle}
    if low is not None:
        cost |= {f"{TIME}_low": low, f"{TIME}_high": high}
    return cost if call is None else cost | {f"call_{TIME}": call}


def test_times_whose_quartiles_overlap_are_no_difference():
    few, many = time_cost(1.0, 0.9, 1.2), time_cost(1.3, 1.1, 1.5)
    flaw = find_flaw(make_summary({"1": few, "5": many}), TIME)
    assert flaw == "those at 1 and 5 frames overlap"
    many = time_cost(1.5, 1.3, 1.6)
    assert find_flaw(make_summary({"1": few, "5": many}), TIME) is None


def test_networks_of_one_size_are_repeated_measurements():
    first = {"1": time_cost(1.0), "5": time_cost(1.3)}
    second = {"1": time_cost(1.4), "5": time_cost(1.6)}
    assert find_flaw(make_summary(first), TIME) is None
    assert "overlap" in find_flaw(make_summary(first, second), TIME)
    for cost in second.values():
        cost["parameters"] = 8
    assert find_flaw(make_summary(first, second), TIME) is None


def test_frames_and_means_are_compared_among_themselves():
    frames = {"1": time_cost(1.0), "5": time_cost(1.3)}
    means = {"1": time_cost(2.0), "5": time_cost(2.1)}
    # As one network, whose 1 and 5 frames take 1.0 to 2.0 and 1.3 to 2.1.
    assert "overlap" in find_flaw(make_summary(frames, means), TIME)
    summary = make_summary(frames, (means, {"1": True, "5": True}))
    assert find_flaw(summary, TIME) is None


def test_times_of_the_call_itself_are_no_times_of_networks():
    times = {"1": time_cost(1.0, call=0.7), "5": time_cost(1.4, call=0.7)}
    flaw = find_flaw(make_summary(times), TIME)
    assert flaw == "a call that computes nothing takes 50% of it"
    times["5"] = time_cost(1.5, call=0.7)
    assert find_flaw(make_summary(times), TIME) is None


@pytest.mark.parametrize(("most", "is_flaw"), [(103, True), (110, False)])
def test_nearly_equal_macs_are_no_difference(most, is_flaw):
    costs = {
        "1": {"parameters": 9, "macs": 100},
        "5": {"parameters": 9, "macs": most},
    }
    assert bool(find_flaw(make_summary(costs), "macs")) == is_flaw


def test_results_without_quartiles_have_no_spread():
    assert not has_spread(make_summary({"1": time_cost(1.0)}), TIME)
    measured = make_summary({"1": time_cost(1.0, 0.9, 1.1)})
    assert has_spread(measured, TIME)
