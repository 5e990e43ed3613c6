"""The weighted mean of several prediction files, video by video.

In memory is an index of each file: ids and where their lines begin, some 150
bytes a video and file. The lines themselves are read when they are needed, in
the order of the first file; files of one order are read straight through.
"""

import array
import collections
import contextlib
from collections.abc import Sequence
from pathlib import Path

from distill.evaluation.prediction_files.files import (
    PREDICTION_HEADER,
    VideoScores,
    name_place,
    parse_prediction,
    split_line,
)
from distill.models.argument_checks import check_at_least
from distill.system.atomic_files import replace_atomically


class IndexedPredictions:
    """A prediction CSV from which any video's line is read.

    Args:
      path: The file.

    Raises:
      ValueError: Its header is wrong, or an id is missing or comes twice.
    """

    def __init__(self, path: str | Path):
        self.path = path
        self._file = open(path, "rb")  # noqa: SIM115
        self._starts = array.array("q")
        self.numbers: dict[str, int] = {}
        try:
            self._index()
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _index(self):
        header = _decode(self._file.readline())
        if header != PREDICTION_HEADER:
            raise ValueError(
                f"{self.path}, line 1: the header must be "
                f"{PREDICTION_HEADER!r}, got {header[:80]!r}."
            )
        start = self._file.tell()
        for number, line in enumerate(self._file, start=2):
            video_id, _ = name_place(
                self.path, number, split_line, _decode(line)
            )
            if video_id in self.numbers:
                raise ValueError(
                    f"{self.path}, line {number}: the video {video_id!r} comes "
                    "a second time."
                )
            self.numbers[video_id] = number
            self._starts.append(start)
            start += len(line)

    def read(self, video_id: str) -> VideoScores:
        """Returns a video's line, checked."""
        number = self.numbers[video_id]
        self._file.seek(self._starts[number - 2])
        line = _decode(self._file.readline())
        return name_place(self.path, number, parse_prediction, line)


def average_predictions(
    files: Sequence[str | Path],
    weights: Sequence[float],
    output: str | Path,
    top_k: int = 20,
) -> int:
    """Writes the weighted mean of prediction files, whole or not at all.

    Args:
      files: Prediction CSVs of the same videos, in any order.
      weights: Share of each, summing to 1.
      output: The CSV to write, in the order of the first file.
      top_k: Classes a video. A class that a file does not list counts 0 there.

    Returns:
      The number of videos.

    Raises:
      ValueError: A file is wrong, or lacks a video of another.
    """
    check_at_least(1, top_k=top_k)
    with contextlib.ExitStack() as opened:
        sources = []
        for path in files:
            source = IndexedPredictions(path)
            opened.callback(source.close)
            sources.append(source)
        _check_same_videos(sources)
        with (
            replace_atomically(output) as temporary,
            open(temporary, "w", encoding="utf-8", newline="") as file,
        ):
            file.write(f"{PREDICTION_HEADER}\n")
            for video_id in sources[0].numbers:
                said = [source.read(video_id) for source in sources]
                mean = mean_scores(said, weights)
                file.write(mean.best(top_k).to_csv())
    return len(sources[0].numbers)


def mean_scores(
    videos: Sequence[VideoScores], weights: Sequence[float]
) -> VideoScores:
    """Returns the weighted mean of what is said of one video.

    The lower classes come first.
    """
    totals: dict[int, float] = collections.defaultdict(float)
    for weight, video in zip(weights, videos, strict=True):
        for index, score in zip(video.classes, video.scores, strict=True):
            totals[index] += weight * score
    classes = sorted(totals)
    # Shares may sum to a little above 1.
    scores = [min(totals[index], 1.0) for index in classes]
    return VideoScores(videos[0].video_id, classes, scores)


def _check_same_videos(sources: Sequence[IndexedPredictions]) -> None:
    first = sources[0]
    for other in sources[1:]:
        for held, lacking in ((first, other), (other, first)):
            if held.numbers.keys() - lacking.numbers.keys():
                video_id = next(
                    name for name in held.numbers if name not in lacking.numbers
                )
                raise ValueError(
                    f"{lacking.path} has no video {video_id!r}, which "
                    f"{held.path} has in line {held.numbers[video_id]}: all "
                    "files must hold the same videos."
                )


def _decode(line: bytes) -> str:
    return line.decode("utf-8", "backslashreplace").rstrip("\r\n")
