"""Several prediction files of the same videos, read video by video.

Memory holds an index of each file: the ids and the starts of their lines,
about 150 bytes a video and file. The lines are read in the order of the first
file.
"""

import array
import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from distill.evaluation.prediction_files.files import (
    PREDICTION_HEADER,
    VideoScores,
    at_line,
    check_header,
    check_new,
    parse_prediction,
    split_line,
)
from distill.system.named_reads import open_bytes
from distill.system.storage import local_copy


@dataclasses.dataclass(frozen=True)
class ListedScores:
    """The scores of one video in several files.

    Attributes:
      video_id: The video.
      classes: int64 `[classes]`, ascending: those that any file lists.
      scores: float64 `[files, classes]` in [0, 1]; 0 where a file does not
        list the class.
      listed: bool `[files, classes]`, whether the file lists the class.
    """

    video_id: str
    classes: np.ndarray
    scores: np.ndarray
    listed: np.ndarray

    @classmethod
    def of(cls, videos: Sequence[VideoScores]) -> "ListedScores":
        """Joins the lines of one video, one of each file."""
        held = [np.array(video.classes, np.int64) for video in videos]
        classes = np.unique(np.concatenate(held))
        scores = np.zeros((len(videos), len(classes)))
        listed = np.zeros(scores.shape, bool)
        for file, video in enumerate(videos):
            places = np.searchsorted(classes, held[file])
            scores[file, places] = video.scores
            listed[file, places] = True
        return cls(videos[0].video_id, classes, scores, listed)

    def with_scores(self, scores: np.ndarray) -> VideoScores:
        """Returns the video with one score `[classes]` for each class."""
        # By rounding, a mean may be a little more than 1.
        bounded = np.clip(scores, 0.0, 1.0)
        return VideoScores(
            self.video_id, self.classes.tolist(), bounded.tolist()
        )


class IndexedPredictions:
    """A prediction CSV with random access to the line of a video.

    `numbers` are line numbers by video id, in the order of the file.
    """

    def __init__(self, path: str | Path, file: BinaryIO):
        self.path = path
        self.numbers: dict[str, int] = {}
        self._file = file
        self._starts = array.array("q")
        with at_line(path, 1):
            check_header(_decode(file.readline()), PREDICTION_HEADER)
        start = file.tell()
        for number, line in enumerate(file, start=2):
            with at_line(path, number):
                video_id, _ = split_line(_decode(line))
                check_new(video_id, self.numbers)
            self.numbers[video_id] = number
            self._starts.append(start)
            start += len(line)

    def read(self, video_id: str) -> VideoScores:
        """Returns the line of a video, checked."""
        number = self.numbers[video_id]
        self._file.seek(self._starts[number - 2])
        with at_line(self.path, number):
            video = parse_prediction(_decode(self._file.readline()))
        return video


class MatchedPredictions:
    """Prediction files of the same videos, in any order.

    To be used as a context manager, which closes the files.

    Raises:
      ValueError: A line is wrong, or a file lacks a video of another.
    """

    def __init__(self, files: Sequence[str | Path]):
        with contextlib.ExitStack() as opened:
            self.sources = [
                IndexedPredictions(
                    path,
                    opened.enter_context(
                        open_bytes(opened.enter_context(local_copy(path)))
                    ),
                )
                for path in files
            ]
            for other in self.sources[1:]:
                _check_same_videos(self.sources[0], other)
            self._opened = opened.pop_all()

    def __enter__(self) -> "MatchedPredictions":
        """Returns itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """Closes the files."""
        self._opened.close()

    @property
    def video_ids(self) -> Sequence[str]:
        """The ids of all videos, in the order of the first file."""
        return list(self.sources[0].numbers)

    def read(self) -> Iterator[ListedScores]:
        """Yields every video in the order of the first file."""
        for video_id in self.sources[0].numbers:
            yield ListedScores.of(
                [source.read(video_id) for source in self.sources]
            )


def _check_same_videos(
    first: IndexedPredictions, other: IndexedPredictions
) -> None:
    for one, lacking in ((first, other), (other, first)):
        missing = one.numbers.keys() - lacking.numbers.keys()
        if missing:
            video_id = min(missing, key=one.numbers.__getitem__)
            raise ValueError(
                f"{lacking.path} has no video {video_id!r}, which {one.path} "
                f"has in line {one.numbers[video_id]}: all files must hold the "
                "same videos."
            )


def _decode(line: bytes) -> str:
    return line.decode("utf-8", "backslashreplace").rstrip("\r\n")
