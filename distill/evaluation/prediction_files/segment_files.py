"""CSV files of segments: the best of each class, their scores, ratings.

YouTube-8M Segments (2019). A segment is called `VIDEO:START`. A submission has
a line `class,segment segment ...` for each class, best first; a file with
scores a line `class,segment score segment score ...`; a file of ratings a line
`segment,class score class score ...` for each segment, where a score above 0
says that the class is in the segment.
"""

import dataclasses
import functools
import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from distill.evaluation.prediction_files.files import (
    new_csv,
    parse_prediction,
    read_once,
    to_classes,
    to_scores,
)
from distill.models.argument_checks import check_at_least
from distill.system.named_reads import open_text

SEGMENTS_HEADER = "Class,Segments"
SCORED_HEADER = "Class,SegmentScorePairs"
RATINGS_HEADER = "SegmentId,ClassScorePairs"
# Whether a class is in a segment, by class and segment.
Ratings = dict[int, dict[str, bool]]


@dataclasses.dataclass(frozen=True)
class RankedSegments:
    """The segments of a class, best first, with scores in [0, 1] or without.

    Each occurs once.
    """

    label: int
    segments: list[str]
    scores: list[float]

    @property
    def name(self) -> str:
        """The class as text."""
        return str(self.label)

    def to_csv(self, with_scores: bool) -> str:
        """Returns the line of a file with scores, or of a submission."""
        text = " ".join(self.segments)
        if with_scores:
            pairs = zip(self.segments, self.scores, strict=True)
            # Nine digits tell all float32 numbers apart. One format of all
            # pairs takes less time than a format of each.
            text = "%s %.9g " * len(self.scores)
            text %= tuple(itertools.chain.from_iterable(pairs))
        return f"{self.label},{text.rstrip()}\n"


def read_header(path: str | Path) -> str:
    """Returns the first line of a file, or its first characters."""
    with open_text(path, errors="backslashreplace") as file:
        return file.readline(80).rstrip("\n")


def read_segments(
    files: Iterable[str | Path], num_classes: int | None = None
) -> Iterator[RankedSegments]:
    """Yields the lines of submissions; a class has one in all of them.

    `num_classes` is None if it is not known. A wrong line is a ValueError.
    """

    def parse(line: str) -> RankedSegments:
        label, words = _split(line, num_classes)
        _check_once(label, words)
        return RankedSegments(label, words, [])

    return read_once(files, SEGMENTS_HEADER, parse, kind="class")


def read_ratings(
    files: Iterable[str | Path], num_classes: int | None = None
) -> Ratings:
    """Returns the ratings in files, each segment once in all of them.

    `num_classes` is None if it is not known. A wrong line is a ValueError.
    """
    parse = functools.partial(parse_prediction, num_classes=num_classes)
    ratings: Ratings = {}
    for row in read_once(files, RATINGS_HEADER, parse, kind="segment"):
        for label, score in zip(row.classes, row.scores, strict=True):
            ratings.setdefault(label, {})[row.video_id] = score > 0
    return ratings


def merge_segments(
    files: Sequence[str | Path], path: str | Path, max_per_class: int
) -> int:
    """Merges files with scores into one submission, atomically.

    A tie is resolved by the names of the segments. Memory holds one class.

    Returns:
      The number of classes.

    Raises:
      ValueError: A line is wrong, the files differ in their classes, or two
        hold the same segment.
    """
    check_at_least(1, segment_max_per_class=max_per_class)
    parts = [
        read_once([file], SCORED_HEADER, _parse_scored, kind="class")
        for file in files
    ]
    count = 0
    with new_csv(path, SEGMENTS_HEADER) as merged:
        for rows in itertools.zip_longest(*parts):
            best = _merge_class(files, rows, max_per_class)
            merged.write(best.to_csv(with_scores=False))
            count += 1
    return count


def _merge_class(
    files: Sequence[str | Path],
    rows: Sequence[RankedSegments | None],
    max_per_class: int,
) -> RankedSegments:
    """Returns the best segments of the files' rows of one class."""
    labels = ["no further" if row is None else row.label for row in rows]
    for file, label in zip(files, labels, strict=True):
        if label != labels[0]:
            raise ValueError(
                f"{files[0]} and {file} differ in their classes: where one has "
                f"class {labels[0]}, the other has {label}."
            )
    pairs = [
        (-score, segment)
        for row in rows
        if row is not None
        for segment, score in zip(row.segments, row.scores, strict=True)
    ]
    _check_once(labels[0], [segment for _, segment in pairs])
    pairs = sorted(pairs)[:max_per_class]
    return RankedSegments(int(labels[0]), [name for _, name in pairs], [])


def _parse_scored(line: str) -> RankedSegments:
    label, words = _split(line)
    if len(words) % 2:
        raise ValueError(
            "a segment and its score must come in pairs, got "
            f"{len(words)} fields."
        )
    segments, scores = words[::2], to_scores(words[1::2])
    _check_once(label, segments)
    return RankedSegments(label, segments, scores)


def _split(line: str, num_classes: int | None = None) -> tuple[int, list[str]]:
    word, comma, rest = line.partition(",")
    if not comma:
        raise ValueError(
            f"a class and a comma must come first, got {word[:80]!r}."
        )
    (label,) = to_classes([word], num_classes)
    return label, rest.split()


def _check_once(label: object, segments: list[str]) -> None:
    if len(set(segments)) < len(segments):
        raise ValueError(f"a segment of the class {label} occurs twice.")
