"""The header of a run: its networks, data, steps and checkpoints."""

import dataclasses
import math
import textwrap
from collections.abc import Iterator

import tensorflow as tf

from distill.data.pipeline import VideoReader
from distill.evaluation.evaluate import device_name
from distill.networks.network import Network
from distill.settings.run import RunSettings
from distill.settings.run_options import RunOptions
from distill.system.storage import to_path
from distill.system.write_errors import free_bytes
from distill.training.distiller import Distiller
from distill.training.run_display import MOST_COLUMNS
from distill.training.training_step import Trainer

_NAME_WIDTH = 13
# Networks of a few million parameters on AudioSet's clips have 160.
_MOST_PARAMETERS_A_VIDEO = 1_000


@dataclasses.dataclass(frozen=True)
class RunHeader:
    """Describes a run before its first step.

    Attributes:
      settings: The run's settings.
      options: Its directory and checkpoints.
      trainer: Its networks and variables.
      reader: Reads its training data.
      num_examples: Estimated number of videos or segments of an epoch.
      num_steps: Estimated number of steps of the run.
      num_devices: Devices of all workers that compute at once.
    """

    settings: RunSettings
    options: RunOptions
    trainer: Trainer
    reader: VideoReader
    num_examples: int
    num_steps: int
    num_devices: int = 1

    def lines(self) -> Iterator[str]:
        """Yields the header, then the warnings.

        Lines have at most 100 columns, except those of longer paths.
        """
        rows = [f"{n:{_NAME_WIDTH}}{text}" for n, text in self._rows().items()]
        rows += [f"{'WARNING':{_NAME_WIDTH}}{w}" for w in self.warnings()]
        for row in rows:
            yield from textwrap.wrap(
                row,
                MOST_COLUMNS,
                subsequent_indent=" " * _NAME_WIDTH,
                break_long_words=False,
                break_on_hyphens=False,
            )

    def warnings(self) -> Iterator[str]:
        """Yields what a user may regret after a long training."""
        most = max(
            (network.num_parameters for network in self._trained.values()),
            default=0,
        )
        each = most / max(self.num_examples, 1)
        if each > _MOST_PARAMETERS_A_VIDEO:
            yield (
                f"A network has {most:,} parameters, {each:,.0f} for each of "
                f"the {self.examples}. It trains slowly and may learn them by "
                "heart: choose a smaller --model or smaller sizes."
            )
        student, data = self.settings.student, self.settings.data
        if (
            student is not None
            and self.settings.distillation is not None
            and data.frame_features
            and student.budget.width(data.max_frames) == data.max_frames
        ):
            yield (
                f"The student sees all {data.max_frames} frames, as its teacher"
                " does. --every_n or --frame_budget choose fewer."
            )
        # One more is written before the oldest is removed.
        needed = (self._num_kept + 1) * self.checkpoint_bytes
        free = free_bytes(to_path(self.options.train_dir))
        if 0 <= free < needed:
            yield (
                f"The checkpoints need {_megabytes(needed)}, "
                f"{_megabytes(free)} are free in {self.options.train_dir}. "
                "--keep_checkpoints keeps fewer."
            )

    @property
    def checkpoint_bytes(self) -> int:
        """Bytes of the variables of a checkpoint."""
        return sum(
            math.prod(variable.shape) * tf.as_dtype(variable.dtype).size
            for variables in self.trainer.groups.values()
            for variable in variables.values()
        )

    @property
    def examples(self) -> str:
        """The word for what a batch holds."""
        return "segments" if self.settings.data.segment_labels else "videos"

    @property
    def _num_kept(self) -> int:
        """Checkpoints in the directory at the end, at least."""
        options = self.options
        epochs, every = self.settings.training.num_epochs, 0
        if options.checkpoint_every_steps:
            every = self.num_steps // options.checkpoint_every_steps
        written = every + (epochs if options.checkpoint_every_epoch else 1)
        return min(written, options.keep_checkpoints or written)

    def _rows(self) -> dict[str, str]:
        training, files = self.settings.training, self.reader.files
        an_epoch = math.ceil(self.num_examples / training.batch_size)
        kept = "all" if not self.options.keep_checkpoints else "the newest"
        several = f"{self.num_devices} x " if self.num_devices > 1 else ""
        return {
            **{name: self._describe(n) for name, n in self._networks().items()},
            "device": several + device_name(),
            "data": f"{len(files)} file{'s' * (len(files) > 1)}, about "
            f"{self.num_examples:,} {self.examples}: "
            f"{training.train_data_pattern}",
            "steps": f"about {self.num_steps:,} (epochs: {training.num_epochs},"
            f" steps of each: {an_epoch:,}, {self.examples} a step: "
            f"{training.batch_size:,})",
            "checkpoints": f"{_megabytes(self.checkpoint_bytes)} each, {kept} "
            f"{self._num_kept} are kept in {self.options.train_dir}",
        }

    @property
    def _trained(self) -> dict[str, Network]:
        trainer = self.trainer
        return trainer.networks if isinstance(trainer, Distiller) else {}

    def _networks(self) -> dict[str, Network]:
        if self.settings.distillation is None:
            # The only one is a student, or a teacher that will teach later.
            return dict(zip(["network"], self._trained.values(), strict=False))
        frozen = getattr(self.trainer, "frozen_teachers", ())
        teachers = {f"teacher {n}": t for n, t in enumerate(frozen, start=1)}
        return teachers | self._trained

    def _describe(self, network: Network) -> str:
        text = (
            f"{network.settings.model}, {network.num_parameters:,} parameters"
        )
        if not self.settings.data.frame_features:
            return text
        most, budget = self.settings.data.max_frames, network.settings.budget
        if budget.keeps_all:
            return f"{text}, all {most} frames"
        seen = f"{network.num_frames} {'means ' * budget.averages}of {most}"
        return f"{text}, {seen} frames ({budget.name})"


def _megabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:,.1f} MB"
