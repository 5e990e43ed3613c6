"""Numbers over seeds: mean and deviation."""

import dataclasses
import math
from collections.abc import Iterable

import numpy as np

from distill.reporting.page import write_score


@dataclasses.dataclass(frozen=True)
class Statistic:
    """A number over seeds: mean and sample deviation; None for too few."""

    num_seeds: int
    mean: float | None
    deviation: float | None


def summarize(values: Iterable[float | None]) -> Statistic:
    """Returns mean and deviation; None and what is not finite is missing."""
    found = [value for value in values if is_number(value)]
    return Statistic(
        len(found),
        float(np.mean(found)) if found else None,
        float(np.std(found, ddof=1)) if len(found) > 1 else None,
    )


def is_number(value: float | None) -> bool:
    """Returns whether a value is there and finite."""
    return value is not None and math.isfinite(value)


def write_statistic(scores: Statistic, sign: str = "") -> str:
    """Returns mean, deviation and number of seeds: `.7310 ± .0021 (3)`."""
    if scores.mean is None:
        return "-"
    text = write_score(scores.mean, f"{sign}.4f")
    if scores.deviation is not None:
        text += f" ± {write_score(scores.deviation, '.4f')}"
    return f"{text} ({scores.num_seeds})"
