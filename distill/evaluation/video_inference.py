"""Inference of video files, by this process or by the workers of a runner."""

import dataclasses
import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from distill.evaluation.evaluate import Prediction
from distill.evaluation.inference import join_predictions, write_predictions
from distill.settings.video import BadVideoError
from distill.system.atomic_files import replace_atomically
from distill.system.part_files import PartFiles
from distill.system.small_files import read_json_object
from distill.system.storage import to_path
from distill.system.tasks import RunTasks

# A line a skipped video.
_MOST_NOTED = 100_000_000


class NamedVideo(Protocol):
    """A video file and its id."""

    @property
    def id(self) -> str:
        """The id."""

    @property
    def path(self) -> str:
        """The file."""


@dataclasses.dataclass(frozen=True)
class VideoInference:
    """How video files are predicted; it can be pickled.

    Attributes:
      load: Returns a `distill.Predictor`, and what extracts the features that
        it reads (`Predictor.reads`).
      on_bad_video: `stop`, or `skip`.
      top_k: Classes of a video.
    """

    load: Callable[[], tuple[Any, Any]]
    on_bad_video: str
    top_k: int

    def write(
        self,
        path: str | Path,
        videos: Sequence[NamedVideo],
        report: Callable[[str], None],
    ) -> Iterator[int]:
        """Writes the predictions of videos as CSV, atomically.

        `report` is called with the error of every video that is skipped.
        Yields the number of videos written so far.

        Raises:
          BadVideoError: A video cannot be read, and they are not skipped.
          FileNotFoundError: There is no such file.
        """
        worker = _VideoPredictor(self)
        try:
            batches = worker.predict(videos, report)
            yield from write_predictions(path, batches, self.top_k)
        finally:
            worker.close()

    def write_by(
        self,
        run: RunTasks,
        output_file: str | Path,
        videos: Sequence[NamedVideo],
        report: Callable[[str], None],
        *,
        sources: Mapping[str, Any],
        num_tasks: int,
    ) -> int:
        """Writes by the workers of a runner what `write` writes.

        Args:
          run: Does the tasks.
          output_file: The CSV file. Beside it lie its parts meanwhile, in a
            hidden directory.
          videos: The videos.
          report: As `write`.
          sources: What predictions depend on, as JSON values.
          num_tasks: Parts at most.

        Returns:
          The number of videos.

        Raises:
          ValueError: A video cannot be read, and they are not skipped, or the
            runner has failed.
        """
        path = to_path(output_file).absolute()
        count = min(num_tasks, len(videos))
        described = [
            [[video.id, video.path] for video in videos],
            self.top_k,
            self.on_bad_video,
            dict(sources),
        ]
        parts = PartFiles(path, described, count)
        borders = np.linspace(0, len(videos), count + 1).astype(int)
        tasks = [
            (parts.paths[n], videos[borders[n] : borders[n + 1]])
            for n in parts.missing()
        ]
        run(functools.partial(_VideoPredictor, self), tasks)
        parts.check()
        for part in parts.paths:
            for line in read_json_object(_note(part), _MOST_NOTED)["skipped"]:
                report(line)
        written = join_predictions(path, parts.paths)
        parts.remove()
        return written


def _note(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


class _VideoPredictor:
    """A process's networks, which threads share."""

    def __init__(self, inference: VideoInference):
        self._inference = inference
        self._predictor, self._features = inference.load()

    def close(self) -> None:
        """Ends the processes."""
        self._features.__exit__()

    def __call__(self, task: tuple[Path, Sequence[NamedVideo]]) -> None:
        """Writes a part, behind the note on what was skipped."""
        path, videos = task
        skipped: list[str] = []

        def predict() -> Iterator[Prediction]:
            yield from self.predict(videos, skipped.append)
            with replace_atomically(_note(path)) as temporary:
                temporary.write_text(json.dumps({"skipped": skipped}))

        for _ in write_predictions(path, predict(), self._inference.top_k):
            pass

    def predict(
        self, videos: Sequence[NamedVideo], report: Callable[[str], None]
    ) -> Iterator[Prediction]:
        """Yields a prediction for each video that can be read."""
        found = self._features.of([video.path for video in videos])
        for video, (_, future) in zip(videos, found, strict=True):
            try:
                stored = self._predictor.check(future.result())
            except (BadVideoError, FileNotFoundError) as error:
                if self._inference.on_bad_video == "stop":
                    raise
                report(str(error))
                continue
            predictions = self._predictor.probabilities([stored])
            none = np.zeros(predictions.shape, bool)
            yield Prediction([video.id], predictions, none)
