"""The weighted mean of several prediction files, video by video.

Memory holds an index of each file: the ids and the starts of their lines,
about 150 bytes a video and file. The lines are read in the order of the first
file.
"""

import array
import collections
import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from distill.evaluation.prediction_files.files import (
    PREDICTION_HEADER,
    VideoScores,
    at_line,
    check_header,
    check_new,
    new_csv,
    parse_prediction,
    split_line,
)
from distill.models.argument_checks import check_at_least


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


def average_predictions(
    files: Sequence[str | Path],
    weights: Sequence[float],
    output: str | Path,
    top_k: int = 20,
) -> int:
    """Writes the mean of CSVs of the same videos, atomically.

    The weights sum to 1. The output has the `top_k` best classes of each video,
    in the order of the first file. A class that a file does not list counts as
    0.

    Returns:
      The number of videos.

    Raises:
      ValueError: A line is wrong, or a file lacks a video of another.
    """
    check_at_least(1, top_k=top_k)
    with contextlib.ExitStack() as opened:
        sources = [
            IndexedPredictions(path, opened.enter_context(open(path, "rb")))
            for path in files
        ]
        for other in sources[1:]:
            _check_same_videos(sources[0], other)
        with new_csv(output, PREDICTION_HEADER) as file:
            for video_id in sources[0].numbers:
                videos = [source.read(video_id) for source in sources]
                file.write(_average(videos, weights).best(top_k).to_csv())
    return len(sources[0].numbers)


def _average(
    videos: Sequence[VideoScores], weights: Sequence[float]
) -> VideoScores:
    totals: dict[int, float] = collections.defaultdict(float)
    for weight, video in zip(weights, videos, strict=True):
        for index, score in zip(video.classes, video.scores, strict=True):
            totals[index] += weight * score
    classes = sorted(totals)
    # By rounding, weights may sum to a little more than 1.
    scores = [min(totals[index], 1.0) for index in classes]
    return VideoScores(videos[0].video_id, classes, scores)


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
