"""Times of things run side by side, and the rows they become."""

import dataclasses


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
