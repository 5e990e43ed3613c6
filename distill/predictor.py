"""A trained network in three lines: load it, give it videos, read names."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distill.deployment.interface import (
    VideoInterface,
    numbered_classes,
    read_class_names,
    read_interface,
)
from distill.deployment.runtimes import Runtime, load_runtime
from distill.metrics.ranking import top_classes

_CHECKPOINTS = (".h5", ".json")
_BATCH_SIZE = 64


@dataclasses.dataclass(frozen=True)
class VideoPrediction:
    """What a network says of a video: its best classes, best first.

    Attributes:
      class_indexes: int32 `[k]`.
      class_names: Their names.
      probabilities: float32 `[k]` in [0, 1].
    """

    class_indexes: np.ndarray
    class_names: list[str]
    probabilities: np.ndarray


class Predictor:
    """Predicts videos by a checkpoint or an artifact, from any thread.

    Args:
      runtime: What computes.
      interface: What it takes and gives.
      name: What `describe` calls it.
    """

    def __init__(self, runtime: Runtime, interface: VideoInterface, name: str):
        self._runtime = runtime
        self.interface = interface
        self.name = name

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        role: str = "student",
        class_names_file: str | Path | None = None,
    ) -> "Predictor":
        """Loads a network.

        Args:
          path: A checkpoint (`.h5`), an ensemble (`.json`), or an artifact of
            `distill export`, which lies beside its `card.json`.
          role: Of a checkpoint, the network: `student` or `teacher`.
          class_names_file: Of a checkpoint, the CSV file of the classes' names
            (`read_class_names`); None: their numbers. An artifact knows them.

        Raises:
          ValueError: It is none of these, or cannot be read.
        """
        path = Path(path)
        if path.suffix in _CHECKPOINTS:
            return cls._load_checkpoint(path, role, class_names_file)
        runtime = load_runtime(path)
        return cls(runtime, read_interface(path.parent), path.name)

    @classmethod
    def _load_checkpoint(cls, path, role, class_names_file):
        from distill.deployment.model_runtime import ModelRuntime
        from distill.networks.loading import load_network

        network = load_network(path, role)
        num_classes = network.schema.num_classes
        names = (
            numbered_classes(num_classes)
            if class_names_file is None
            else read_class_names(class_names_file, num_classes)
        )
        interface = VideoInterface(network.schema, network.budget, names)
        return cls(ModelRuntime(network.raw_model()), interface, path.name)

    def predict(
        self, videos: Any, top_k: int = 20
    ) -> VideoPrediction | list[VideoPrediction]:
        """Predicts one video, or each of a list of videos.

        Args:
          videos: An array `[frames, features]`, bytes or dequantised floats
            in [-2, 2]; of a video-level network `[features]` floats; or a
            list of such arrays, of any lengths.
          top_k: Classes a video.

        Returns:
          The prediction, or a list of them.

        Raises:
          ValueError: A video is of the wrong form, named by its number in the
            list, or the list is empty.
        """
        if not isinstance(videos, list | tuple):
            return self._predict([self.check(videos)], top_k)[0]
        if not videos:
            raise ValueError("There is no video in the list.")
        checked = []
        for index, video in enumerate(videos):
            try:
                checked.append(self.check(video))
            except ValueError as error:
                raise ValueError(f"Video {index}: {error}") from error
        return self._predict(checked, top_k)

    def _predict(self, videos, top_k):
        if top_k < 1:
            raise ValueError(f"top_k must be 1 or more, got {top_k}.")
        predictions = self.probabilities(videos)
        top = top_classes(predictions, min(top_k, self.num_classes))
        names = self.interface.class_names
        return [
            VideoPrediction(
                classes.astype(np.int32),
                [names[index] for index in classes],
                row[classes],
            )
            for classes, row in zip(top, predictions, strict=True)
        ]

    def check(self, video: Any) -> np.ndarray:
        """Returns a video as it is read; ValueError says what is wrong."""
        return self.interface.as_stored(video)

    def probabilities(self, videos: Sequence[np.ndarray]) -> np.ndarray:
        """Returns float32 `[videos, classes]` of videos that are checked."""
        parts = [
            self._runtime(
                self.interface.to_batch(videos[start : start + _BATCH_SIZE])
            )
            for start in range(0, len(videos), _BATCH_SIZE)
        ]
        return np.concatenate(parts)

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return self.interface.schema.num_classes

    @property
    def class_names(self) -> tuple[str, ...]:
        """The name of every class."""
        return self.interface.class_names

    @property
    def feature_sizes(self) -> tuple[int, ...]:
        """The width of every feature of a frame, or of a video's vector."""
        return self.interface.schema.feature_sizes

    @property
    def num_features(self) -> int:
        """The width of a frame, or of a video's vector."""
        return self.interface.schema.num_features

    @property
    def max_frames(self) -> int:
        """The most frames of a video."""
        return self.interface.schema.max_frames

    @property
    def frame_features(self) -> bool:
        """Whether a video is frames; else one vector."""
        return self.interface.schema.frame_features

    def describe(self) -> dict[str, Any]:
        """Returns what it is, as JSON can hold it."""
        return {"name": self.name} | self.interface.to_json()
