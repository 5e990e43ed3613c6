"""A study's costs with those of decoding and extraction added."""

from collections.abc import Mapping
from typing import Any

from distill.settings.frame_cost import FrameCost

FRAME_COST = "frame_cost"
# Names of the whole costs, and their axes.
WHOLE_COSTS = {
    "whole_macs": "MACs of a video with extraction",
    "whole_milliseconds_at_64": (
        "milliseconds a video with decoding and extraction, batch 64"
    ),
    "whole_milliseconds_at_1": (
        "milliseconds a video with decoding and extraction, batch 1"
    ),
}
# What a frame adds to which costs: the ends of their names. Cascades have one
# time.
_ADDED = {
    "frame_macs": ("macs",),
    "frame_milliseconds": (
        "milliseconds",
        *(
            f"milliseconds_at_{size}{end}"
            for size in (1, 64)
            for end in ("", "_low", "_high")
        ),
    ),
}


def add_whole_costs(results: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a study's results with the whole costs of networks and cascades.

    A whole cost is that of the network and, for each frame that it needs, that
    of `results["frame_cost"]`. Without such a cost the results stay the same.
    """
    frame = FrameCost(**results.get(FRAME_COST, {})).given()
    if not frame:
        return dict(results)
    teacher = results["teacher"]
    return {
        **results,
        "teacher": {**teacher, "cost": _add(teacher["cost"], frame)},
        "rows": [
            {
                **row,
                "costs": {k: _add(c, frame) for k, c in row["costs"].items()},
            }
            for row in results["rows"]
        ],
        "cascades": [
            {**cascade, "runs": [_add(run, frame) for run in cascade["runs"]]}
            for cascade in results["cascades"]
        ],
    }


def _add(
    cost: Mapping[str, Any] | None, frame: Mapping[str, float]
) -> dict[str, Any] | None:
    if cost is None:
        return None
    # Results of earlier versions do not tell the frames needed.
    if cost.get("frames_needed") is None:
        return dict(cost)
    whole = {
        f"whole_{name}": cost[name] + cost["frames_needed"] * each
        for key, each in frame.items()
        for name in _ADDED[key]
        if cost.get(name) is not None
    }
    return {**cost, **whole}
