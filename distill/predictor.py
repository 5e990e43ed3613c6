"""Predictions of a trained network for arrays of videos."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from distill.deployment.artifact_runtime import load_artifact
from distill.deployment.interface import VideoInterface
from distill.deployment.runtimes import ModelRuntime, Runtime, find_network
from distill.deployment.unpacking import unpacked
from distill.metrics.ranking import top_classes
from distill.models.frame_budget import FrameBudget
from distill.settings.class_names import choose_class_names
from distill.settings.video import VideoSettings

if TYPE_CHECKING:
    from distill.extraction.extractor import VideoExtractor
    from distill.extraction.video_features import VideoFeatures

_CHECKPOINTS = (".h5", ".json")
_BATCH_SIZE = 64


@dataclasses.dataclass(frozen=True)
class VideoPrediction:
    """The most probable classes of a video, best first.

    Attributes:
      class_indexes: int32 `[k]`.
      class_names: k names.
      probabilities: float32 `[k]` in [0, 1].
    """

    class_indexes: np.ndarray
    class_names: list[str]
    probabilities: np.ndarray


class Predictor:
    """Predicts videos by a checkpoint or an artifact, from any thread."""

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
        budget: FrameBudget | None = None,
        class_names_file: str | Path | None = None,
        trust_artifact: bool = False,
    ) -> "Predictor":
        """Loads a network.

        Args:
          path: A checkpoint (`.h5`), an ensemble (`.json`), or an artifact of
            `distill export` beside its `card.json`; or a directory: of a run
            (its `best.h5` or else its newest checkpoint) or of an export (the
            first artifact of its card); or a `.tar.gz` or `.tgz` archive of an
            artifact with its card.
          role: Network of a checkpoint: `student` or `teacher`.
          budget: Of a checkpoint, the frames that it sees; None for those it
            was trained on, which an artifact always sees.
          class_names_file: For a checkpoint, a CSV file with the names of the
            classes (`read_class_names`); None to name them by their indexes.
            An artifact has its own names.
          trust_artifact: Whether an artifact is loaded without the check that
            refuses what no export holds. A SavedModel is a program.

        Raises:
          ValueError: The path is not a checkpoint, ensemble or artifact, the
            file is damaged, or the check refuses it; or an artifact is given a
            budget.
        """
        path = find_network(path)
        if path.suffix not in _CHECKPOINTS:
            if budget is not None:
                raise ValueError(
                    f"budget={budget.name}: {path} is an artifact and sees the "
                    "frames that it was exported for; give a checkpoint."
                )
            with unpacked(path) as artifact:
                runtime, interface = load_artifact(artifact, trust_artifact)
            return cls(runtime, interface, path.name)
        # This imports TensorFlow, which artifacts may not need.
        from distill.networks.loading import load_network

        network = load_network(path, role, budget=budget)
        names = choose_class_names(class_names_file, network.schema.num_classes)
        interface = VideoInterface(network.schema, network.budget, names)
        return cls(ModelRuntime(network.raw_model()), interface, path.name)

    @overload
    def predict(
        self, videos: list | tuple, top_k: int = 20
    ) -> list[VideoPrediction]: ...

    @overload
    def predict(
        self, videos: np.ndarray, top_k: int = 20
    ) -> VideoPrediction: ...

    def predict(
        self, videos: Any, top_k: int = 20
    ) -> VideoPrediction | list[VideoPrediction]:
        """Predicts one video, or each video of a list.

        Args:
          videos: An array `[frames, features]` of bytes, or of floats in the
            range of the data's quantisation ([-2, 2] by default), or in any
            range where the network was trained on float frames; for a
            video-level network `[features]` floats; or a list of such arrays,
            of any lengths. Of a video longer than `max_frames` the first
            `max_frames` are read, as in training.
          top_k: Classes a video.

        Returns:
          A prediction, or a list of predictions.

        Raises:
          ValueError: The list is empty, or a video has a wrong form; the
            message names its number in the list.
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

    def reads(
        self,
        extractor: "VideoExtractor",
        limits: VideoSettings | None = None,
        num_processes: int | None = None,
    ) -> "VideoFeatures":
        """Returns what extracts the features that the network reads of files.

        It is a context manager: several videos share its processes. Only the
        frames that the network selects are decoded and extracted; all, where
        it reads means (`segment_means`).

        Args:
          extractor: As the network's data was extracted (`read_extractor`).
          limits: Limits of the videos; None for the defaults.
          num_processes: Videos that are decoded at once; None for one for
            each processor.

        Raises:
          ValueError: The features are not those that the network reads.
        """
        from distill.extraction.video_features import VideoFeatures

        limits = dataclasses.replace(
            limits or VideoSettings(),
            frames_per_second=extractor.frames_per_second,
        )
        return VideoFeatures(
            extractor,
            self.interface.schema,
            self.interface.budget,
            limits,
            num_processes,
        )

    @classmethod
    def load_for_videos(
        cls,
        path: str | Path,
        extractor_file: str | Path,
        limits: VideoSettings | None = None,
        num_processes: int | None = None,
        **options: Any,
    ) -> tuple["Predictor", "VideoFeatures"]:
        """Loads a network, and what extracts the features that it reads.

        Args:
          path: As `load`.
          extractor_file: File of `distill.read_extractor`.
          limits: As `reads`.
          num_processes: As `reads`.
          **options: The others of `load`.
        """
        from distill.extraction.extractor_file import read_extractor

        predictor = cls.load(path, **options)
        extractor = read_extractor(extractor_file)
        return predictor, predictor.reads(extractor, limits, num_processes)

    def predict_video(
        self,
        path: str | Path,
        extractor: "VideoExtractor",
        top_k: int = 20,
        limits: VideoSettings | None = None,
    ) -> VideoPrediction:
        """Predicts a video file: the frames that the network selects of it.

        Args:
          path: A video, local or in cloud storage.
          extractor: As the network's data was extracted (`read_extractor`).
          top_k: Classes.
          limits: Limits of the video; None for the defaults.

        Raises:
          ValueError: The video cannot be read or is beyond a limit (a
            `BadVideoError`, which names it), or the extractor is another.
          FileNotFoundError: There is no such file.
        """
        with self.reads(extractor, limits, num_processes=1) as features:
            ((_, video),) = features.of([path])
            return self.predict(video.result(), top_k)

    def _predict(
        self, videos: Sequence[np.ndarray], top_k: int
    ) -> list[VideoPrediction]:
        if top_k < 1:
            raise ValueError(f"top_k must be 1 or more, got {top_k}.")
        predictions = self.probabilities(videos)
        top = top_classes(predictions, min(top_k, self.num_classes))
        names = self.class_names
        return [
            VideoPrediction(
                classes.astype(np.int32),
                [names[index] for index in classes],
                row[classes],
            )
            for classes, row in zip(top, predictions, strict=True)
        ]

    def check(self, video: Any) -> np.ndarray:
        """Returns a video in its stored form.

        Raises:
          ValueError: The video has a wrong form; the message says why.
        """
        return self.interface.as_stored(video)

    def probabilities(self, videos: Sequence[np.ndarray]) -> np.ndarray:
        """Returns float32 `[videos, classes]` for videos from `check`."""
        batches = [
            self._runtime(
                self.interface.to_batch(videos[start : start + _BATCH_SIZE])
            )
            for start in range(0, len(videos), _BATCH_SIZE)
        ]
        return np.concatenate(batches)

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return self.interface.schema.num_classes

    @property
    def class_names(self) -> tuple[str, ...]:
        """Name of every class."""
        return self.interface.class_names

    @property
    def feature_sizes(self) -> tuple[int, ...]:
        """Width of each feature of a frame, or of a video's vector."""
        return self.interface.schema.feature_sizes

    @property
    def num_features(self) -> int:
        """Width of a frame, or of a video's vector."""
        return self.interface.schema.num_features

    @property
    def max_frames(self) -> int:
        """The most frames that are read of a video."""
        return self.interface.schema.max_frames

    @property
    def frame_type(self) -> str:
        """The type of a frame's values as records hold them."""
        return self.interface.schema.frame_type

    @property
    def frame_features(self) -> bool:
        """True if a video is a series of frames, False if it is one vector."""
        return self.interface.schema.frame_features

    def describe(self) -> dict[str, Any]:
        """Returns the name, data layout and budget as JSON values."""
        return {"name": self.name} | self.interface.to_json()
