"""The features of video files as a network reads them."""

import dataclasses
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from pathlib import Path

import numpy as np

from distill.extraction.extractor import VideoExtractor
from distill.models.frame_budget import FrameBudget
from distill.settings.schema import DataSchema
from distill.settings.video import VideoSettings
from distill.video.decoding_process import DecodingProcesses, OpenVideo


@dataclasses.dataclass(frozen=True)
class ReadVideo:
    """What a network reads of a video.

    Attributes:
      features: float32 `[frames, features]`, zeros where it reads nothing.
      num_frames: Frames that the rate takes of the video; the network may read
        fewer, the first.
      num_decoded: Frames that were decoded and extracted.
    """

    features: np.ndarray
    num_frames: int
    num_decoded: int


class NetworkReader:
    """Extracts what a network reads of an open video; threads may share it.

    Only the frames that the network selects are decoded and extracted. The
    others are zeros, which it does not read.

    Args:
      extractor: Makes the features.
      schema: The network's data.
      budget: The frames that the network itself selects.

    Raises:
      ValueError: The features are not those that the network reads.
    """

    def __init__(
        self, extractor: VideoExtractor, schema: DataSchema, budget: FrameBudget
    ):
        _check_features(extractor, schema)
        self._extractor, self._schema, self._budget = extractor, schema, budget

    def read(self, video: OpenVideo) -> ReadVideo:
        """Returns what the network reads.

        Raises:
          BadVideoError: The video cannot be decoded.
        """
        count = min(video.info.num_frames, self._schema.max_frames)
        numbers = needed_frames(count, self._budget, self._schema.max_frames)
        found = self._extractor.features(video, numbers)
        names = self._schema.feature_names
        rows = np.concatenate([found[name] for name in names], axis=1)
        features = np.zeros((count, rows.shape[1]), np.float32)
        features[numbers] = rows
        return ReadVideo(features, video.info.num_frames, len(numbers))


class VideoFeatures:
    """Extracts what a network reads of video files; a context manager.

    Args:
      extractor: Makes the features.
      schema: The network's data.
      budget: The frames that the network itself selects.
      limits: Limits of the videos; the rate is the extractor's.
      num_processes: Videos that are decoded at once; None for one each
        processor.

    Raises:
      ValueError: The features are not those that the network reads.
    """

    def __init__(
        self,
        extractor: VideoExtractor,
        schema: DataSchema,
        budget: FrameBudget,
        limits: VideoSettings,
        num_processes: int | None = None,
    ):
        self._reader = NetworkReader(extractor, schema, budget)
        self._processes = DecodingProcesses(limits, num_processes)

    def __enter__(self) -> "VideoFeatures":
        """Returns itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the processes."""
        self._processes.__exit__()

    def of(
        self, paths: Iterable[str | Path]
    ) -> Iterator[tuple[str | Path, Future[np.ndarray]]]:
        """Yields each path with its features, in order; some ahead of time.

        A future's result is float32 `[frames, features]`, zeros where the
        network reads nothing. It raises the video's error, which names it.
        """
        waiting: deque[tuple[str | Path, Future[np.ndarray]]] = deque()
        for path in paths:
            waiting.append((path, self._processes.submit(self._extract, path)))
            if len(waiting) > 2 * self._processes.num_threads:
                yield waiting.popleft()
        yield from waiting

    def _extract(self, path: str | Path) -> np.ndarray:
        with self._processes.open(path) as opened:
            return self._reader.read(opened).features


def needed_frames(
    num_frames: int, budget: FrameBudget, max_frames: int
) -> list[int]:
    """Returns the numbers of the frames that a network reads, rising.

    A budget of means, or one that weighs frames by what it has learned, needs
    every frame.
    """
    if budget.keeps_all or budget.averages or budget.attends:
        return list(range(num_frames))
    # This imports Keras.
    from distill.models.frame_selection import frame_spans

    starts, _, kept = frame_spans(np.array([num_frames]), budget, max_frames)
    starts = np.asarray(starts)[0, : int(np.asarray(kept)[0])]
    return sorted(set(starts.tolist()))


def _check_features(extractor: VideoExtractor, schema: DataSchema) -> None:
    if not schema.frame_features or schema.segment_labels:
        raise ValueError(
            "A video file can be predicted by a network of whole videos' "
            "frames alone; this one reads "
            + ("segments." if schema.segment_labels else "one vector a video.")
        )
    made = dict(
        zip(extractor.feature_names, extractor.feature_sizes, strict=True)
    )
    for name, size in zip(
        schema.feature_names, schema.feature_sizes, strict=True
    ):
        if made.get(name) != size:
            raise ValueError(
                f"The network reads the feature {name!r} of {size} numbers; "
                f"the extractor makes {made}."
            )
