"""What a study runs: rows of methods, over frame budgets and seeds."""

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distill.models.frame_budget import FrameBudget
from distill.settings.run import RunSettings


@dataclasses.dataclass(frozen=True)
class Unit:
    """One training of the study, and where it is scored.

    Attributes:
      row: Name of its method, a row of the report.
      budget: Frames it is trained on at most; None for a teacher.
      seed: Its seed.
      directory: Where it leaves its weights and its result.
      stages: Its trainings, one after another; each but the first starts from
        the student that the one before left in `stage_checkpoint`.
      evaluations: The frames it is scored with, by their number.
      eval_data_pattern: Globs of the files it is scored on.
    """

    row: str
    budget: int | None
    seed: int
    directory: Path
    stages: tuple[RunSettings, ...]
    evaluations: Mapping[int, FrameBudget]
    eval_data_pattern: str

    @property
    def title(self) -> str:
        """Its row, budget and seed in a line."""
        budget = "" if self.budget is None else f", k={self.budget}"
        return f"{self.row}{budget}, seed {self.seed}"

    @property
    def checkpoint(self) -> Path:
        """The file of its trained network."""
        return stage_checkpoint(self.directory, len(self.stages) - 1)

    @property
    def result_file(self) -> Path:
        """The file that says that it is done, and how well."""
        return self.directory / "result.json"

    def describe_training(self) -> str:
        """Returns all that its weights depend on, as JSON."""
        stages = [json.loads(stage.to_json()) for stage in self.stages]
        return json.dumps(stages, indent=1)

    def describe(self) -> dict[str, Any]:
        """Returns all that its result depends on."""
        return {
            "stages": json.loads(self.describe_training()),
            "evaluations": {
                str(k): dataclasses.asdict(budget)
                for k, budget in self.evaluations.items()
            },
            "eval_data_pattern": self.eval_data_pattern,
        }


@dataclasses.dataclass(frozen=True)
class CascadePlan:
    """A row whose students are also run as a cascade.

    Attributes:
      row: The row, trained for every budget.
      budgets: Frames of the stages.
      mean_frames: The mean that is wanted.
      calibration_data_pattern: Globs of the videos that set the thresholds.
    """

    row: str
    budgets: tuple[int, ...]
    mean_frames: float
    calibration_data_pattern: str


@dataclasses.dataclass(frozen=True)
class Study:
    """A grid of trainings and what they are scored on.

    Attributes:
      directory: Where everything is written.
      teachers: The networks that teach, trained first.
      units: The grid, in the order in which it is run.
      budgets: Numbers of frames, the report's columns.
      baseline: The row without a teacher, against which gains are counted.
      command: The command that made it.
      flags: The flags of every row, by its name.
      cascades: What is reported as a cascade too.
      own_baselines: Of rows that are held against another row than `baseline`:
        that row, by their name.
    """

    directory: Path
    teachers: tuple[Unit, ...]
    units: tuple[Unit, ...]
    budgets: tuple[int, ...]
    baseline: str
    command: str
    flags: Mapping[str, str]
    cascades: tuple[CascadePlan, ...] = ()
    own_baselines: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def rows(self) -> list[str]:
        """The rows' names in their order."""
        return list(dict.fromkeys(unit.row for unit in self.units))


def unit_directory(
    study_directory: str | Path, row: str, budget: int | None, seed: int
) -> Path:
    """Returns where a unit of a study leaves what it makes."""
    folder = "teachers" if budget is None else "runs"
    slug = re.sub(r"[^a-z0-9]+", "_", row.lower()).strip("_")
    path = Path(study_directory) / folder / slug
    if budget is not None:
        path /= f"k{budget}"
    return path / f"seed{seed}"


def stage_checkpoint(directory: Path, stage: int) -> Path:
    """Returns the file of the student that a unit's stage ends with."""
    return directory / f"stage{stage}.h5"
