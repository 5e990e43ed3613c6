"""The plan of a study: rows of methods over frame budgets and seeds."""

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distill.models.frame_budget import FrameBudget
from distill.settings.frame_cost import FrameCost
from distill.settings.run import NetworkSettings, RunSettings
from distill.system.storage import to_path


@dataclasses.dataclass(frozen=True)
class Unit:
    """One training of the study, and its evaluations.

    Attributes:
      row: Name of its method, a row of the report.
      budget: Most frames of its training; None for a teacher.
      directory: That of its weights and its result.
      stages: Its trainings in order; each but the first starts from the
        student in the `stage_checkpoint` of the one before.
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
    def student(self) -> NetworkSettings:
        """The trained network."""
        return self.stages[-1].network("student")

    @property
    def teacher_files(self) -> set[str]:
        """The files of its trained teachers."""
        return {f for stage in self.stages for f in stage.teacher_checkpoints}

    @property
    def checkpoint(self) -> Path:
        """The file of its trained network."""
        return stage_checkpoint(self.directory, len(self.stages) - 1)

    def describe_training(self) -> str:
        """Returns the settings that determine its weights, as JSON."""
        stages = [json.loads(stage.to_json()) for stage in self.stages]
        return json.dumps(stages, indent=1)

    def describe(self) -> dict[str, Any]:
        """Returns the settings that determine its result."""
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
    """A cascade of a row's students.

    Attributes:
      row: The row, trained once for all budgets.
      budgets: Frames of the stages.
      mean_frames: The wanted mean frames of a video.
      calibration_data_pattern: Globs of the videos that set the thresholds.
    """

    row: str
    budgets: tuple[int, ...]
    mean_frames: float
    calibration_data_pattern: str


@dataclasses.dataclass(frozen=True)
class Study:
    """A grid of trainings and their evaluations.

    Attributes:
      teachers: The trainings of the teachers, which come first.
      units: The grid in the order of its execution.
      budgets: Numbers of frames, the report's columns.
      baseline: The row without a teacher, over which gains are counted.
      command: The study's command line.
      flags: The flags of each row as text, by its name.
      own_baselines: The baselines of rows that have their own, by row name.
      highlights: Names of the rows that plots show in colour; empty: the
        baseline and the best.
      frame_cost: Cost of decoding and extracting a frame, for the report.
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
    highlights: tuple[str, ...] = ()
    frame_cost: FrameCost = dataclasses.field(default_factory=FrameCost)


def unit_directory(
    study_directory: str | Path, row: str, budget: int | None, seed: int
) -> Path:
    """Returns the directory of a unit of a study."""
    folder = "teachers" if budget is None else "runs"
    slug = re.sub(r"[^a-z0-9]+", "_", row.lower()).strip("_")
    path = to_path(study_directory) / folder / slug
    if budget is not None:
        path /= f"k{budget}"
    return path / f"seed{seed}"


def stage_checkpoint(directory: Path, stage: int) -> Path:
    """Returns the file of the student from one of a unit's stages."""
    return directory / f"stage{stage}.h5"
