"""Exports during a training run, for `--export_model_steps`."""

import dataclasses
from pathlib import Path

from distill.checkpoints.checkpoint import read_progress
from distill.data.files import find_files
from distill.data.pipeline import VideoReader
from distill.deployment.artifacts import choose_kinds
from distill.deployment.export import Export
from distill.networks.loading import load_network
from distill.settings.run import RunSettings


@dataclasses.dataclass(frozen=True)
class StepExport:
    """Writes the student of a checkpoint as a SavedModel.

    The SavedModel is compared with the checkpoint on the pattern's first file.

    Attributes:
      settings: The run's settings.
      pattern: Globs of videos with labels.
      class_names: The name of every class.
      on_bad_record: `fail` or `skip`.
    """

    settings: RunSettings
    pattern: str
    class_names: tuple[str, ...]
    on_bad_record: str = "fail"

    def __post_init__(self):
        """Checks that the student can be exported.

        Raises:
          ValueError: Its frames are random, or there is no student.
        """
        budget = self.settings.network("student").budget.at_evaluation()
        if budget.num_draws(self.settings.data.max_frames):
            raise ValueError(
                f"--export_model_steps: the student sees {budget.name}, drawn "
                "anew for each video; such a network cannot be exported."
            )

    def __call__(self, checkpoint: Path) -> str:
        """Writes `export/step_STEP` beside a checkpoint; returns its path."""
        step = read_progress(checkpoint)["step"]
        directory = checkpoint.parent / "export" / f"step_{step:08d}"
        files = find_files(self.pattern)[:1]
        reader = VideoReader(
            self.settings.data,
            files,
            self.settings.training.batch_size,
            on_bad_record=self.on_bad_record,
        )
        export = Export(
            str(checkpoint),
            "student",
            load_network(checkpoint, "student"),
            reader,
            files[0],
            self.class_names,
        )
        for _ in export.write(
            directory, choose_kinds(["saved_model"], ["float32"])
        ):
            pass
        return f"exported the student to {directory}"
