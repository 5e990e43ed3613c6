"""Costs with decoding and extraction, against numbers by hand."""

import pytest

from distill.settings.frame_cost import FrameCost
from distill.study.whole_cost import add_whole_costs

COST = {
    "frames_needed": 30,
    "frames": 5,
    "macs": 1_000,
    "milliseconds_at_1": 2.0,
    "milliseconds_at_64": 0.5,
    "milliseconds_at_64_low": 0.25,
    "milliseconds_at_64_high": None,
    "call_milliseconds_at_64": 0.125,
}
CASCADE = {"frames_needed": 7.5, "macs": 500.0, "milliseconds": 0.5}


def make_results(**frame_cost):
    """Returns the parts of results that hold costs."""
    costs = {"frame_cost": frame_cost} if frame_cost else {}
    old = {name: COST[name] for name in ("frames", "macs")}
    return costs | {
        "teacher": {"runs": [], "cost": None},
        "rows": [{"name": "a", "costs": {"5": dict(COST), "6": old}}],
        "cascades": [{"row": "a", "runs": [dict(CASCADE)]}],
    }


def test_each_frame_needed_adds_its_cost():
    given = make_results(frame_macs=10, frame_milliseconds=2.0)
    whole = add_whole_costs(given)
    assert whole["rows"][0]["costs"]["5"] == COST | {
        "whole_macs": 1_300,
        "whole_milliseconds_at_1": 62.0,
        "whole_milliseconds_at_64": 60.5,
        "whole_milliseconds_at_64_low": 60.25,
    }
    assert whole["cascades"][0]["runs"] == [
        CASCADE | {"whole_macs": 575.0, "whole_milliseconds": 15.5}
    ]
    assert given == make_results(frame_macs=10, frame_milliseconds=2.0)
    assert add_whole_costs(whole) == whole


def test_a_cost_that_is_not_given_is_not_added():
    whole = add_whole_costs(make_results(frame_macs=10))
    added = {"whole_macs": 1_300}
    assert whole["rows"][0]["costs"]["5"] == COST | added


def test_costs_without_frames_needed_and_results_without_a_cost_stay():
    results = make_results(frame_macs=10)
    old = results["rows"][0]["costs"]["6"]
    assert add_whole_costs(results)["rows"][0]["costs"]["6"] == old
    assert add_whole_costs(make_results()) == make_results()


@pytest.mark.parametrize("name", ["frame_macs", "frame_milliseconds"])
@pytest.mark.parametrize("value", [-1, float("nan")])
def test_a_cost_below_zero_is_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} must be"):
        FrameCost(**{name: value})
