"""Prediction and label CSV files, read and checked line by line.

A prediction is a line `id,class score class score ...` after a header, a label
a line `id,class class ...`, perhaps after a header. An error names the file and
line.
"""

import contextlib
import dataclasses
import functools
import itertools
import re
from collections.abc import Callable, Container, Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol, TextIO, TypeVar

from distill.models.argument_checks import check_at_least
from distill.system.atomic_files import replace_atomically
from distill.system.file_patterns import match_patterns
from distill.system.named_reads import open_text
from distill.system.storage import list_files

PREDICTION_HEADER = "VideoId,LabelConfidencePairs"
LABEL_HEADER = "VideoId,Labels"
# Bound of the classes if their number is not given.
_MOST_CLASSES = 1_000_000
# Bound of a line; a class and its score take about ten characters.
_MOST_CHARACTERS = 2**24
_SHOWN = 80
_WHOLE_NUMBER = re.compile(r"\d{1,1000}")


class NamedRow(Protocol):
    """A parsed line; its name occurs once in all files."""

    @property
    def name(self) -> str:
        """What the line is about, such as a video's id."""


_Row = TypeVar("_Row", bound=NamedRow)


@dataclasses.dataclass(frozen=True)
class VideoScores:
    """A video's class indexes, each once, and their scores in [0, 1].

    A label has no scores.
    """

    video_id: str
    classes: list[int]
    scores: list[float]

    @property
    def name(self) -> str:
        """The video's id."""
        return self.video_id

    def best(self, top_k: int) -> "VideoScores":
        """Returns the k best classes, best first; ties keep their order."""
        order = sorted(range(len(self.scores)), key=lambda i: -self.scores[i])
        classes = [self.classes[index] for index in order[:top_k]]
        scores = [self.scores[index] for index in order[:top_k]]
        return VideoScores(self.video_id, classes, scores)

    def to_csv(self) -> str:
        """Returns the line of a prediction CSV, scores with six decimals."""
        pairs = zip(self.classes, self.scores, strict=True)
        # One format of all pairs takes less time than a format of each.
        text = "%d %.6f " * len(self.classes)
        text %= tuple(itertools.chain.from_iterable(pairs))
        return f"{self.video_id},{text.rstrip()}\n"


@contextlib.contextmanager
def new_csv(path: str | Path, header: str) -> Iterator[TextIO]:
    """Opens a CSV file below its header; it appears when it is complete."""
    with (
        replace_atomically(path) as temporary,
        open(temporary, "w", encoding="utf-8", newline="") as file,
    ):
        file.write(f"{header}\n")
        yield file


def match_files(patterns: str, flag: str) -> list[str]:
    """Lists the files that match any of several globs, sorted.

    Raises:
      ValueError: A glob matches no file; the message names the flag.
    """
    try:
        return match_patterns(patterns, list_files)
    except ValueError as error:
        raise ValueError(f"--{flag}: {error}") from error


def read_predictions(
    files: Iterable[str | Path], num_classes: int | None = None
) -> Iterator[VideoScores]:
    """Yields the videos of prediction CSV files.

    A video occurs once in all files; the ids are kept in memory. `num_classes`
    is None if it is not known. A wrong line is a ValueError.
    """
    parse = functools.partial(parse_prediction, num_classes=num_classes)
    return read_once(files, PREDICTION_HEADER, parse)


def read_labels(
    files: Iterable[str | Path], num_classes: int | None = None
) -> dict[str, list[int]]:
    """Returns the classes of every video of label CSV files, by id.

    A wrong line is a ValueError.
    """

    def parse(line: str) -> VideoScores:
        video_id, words = split_line(line)
        return VideoScores(video_id, to_classes(words, num_classes), [])

    videos = read_once(files, LABEL_HEADER, parse, needs_header=False)
    return {video.video_id: video.classes for video in videos}


def check_header(line: str, header: str) -> None:
    """Checks the first line of a file; the WILLOW code writes `VideoID`."""
    if line.lower() != header.lower():
        raise ValueError(
            f"the header must be {header!r}, got {line[:_SHOWN]!r}."
        )


def read_once(
    files: Iterable[str | Path],
    header: str,
    parse: Callable[[str], _Row],
    needs_header: bool = True,
    kind: str = "video",
) -> Iterator[_Row]:
    """Yields the parsed lines below the header of each file.

    The name of a row, a `kind`, occurs once in all files. A wrong line is a
    ValueError. Where no header is needed, a first line that names no id column
    is one of a video.
    """
    seen: set[str] = set()
    for path in files:
        with open_text(path, errors="backslashreplace") as file:
            read_line = functools.partial(file.readline, _MOST_CHARACTERS + 1)
            first = read_line()
            lines: Iterator[tuple[int, str]]
            lines = enumerate(iter(read_line, ""), start=2)
            if needs_header or _is_header(first, header):
                with at_line(path, 1):
                    check_header(first.rstrip("\n"), header)
            elif first:
                lines = itertools.chain([(1, first)], lines)
            for number, line in lines:
                with at_line(path, number):
                    if len(line) > _MOST_CHARACTERS:
                        raise ValueError(
                            f"it has more than {_MOST_CHARACTERS:,} characters."
                        )
                    row = parse(line.rstrip("\n"))
                    check_new(row.name, seen, kind)
                seen.add(row.name)
                yield row


def _is_header(line: str, header: str) -> bool:
    """Returns whether a line begins as a header does."""
    column = header.partition(",")[0].lower()
    return line.lower().startswith(f"{column},")


@contextlib.contextmanager
def at_line(path: str | Path, number: int) -> Iterator[None]:
    """Names the file and the line in a ValueError of the body."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}, line {number}: {error}") from error


def check_new(name: str, seen: Container[str], kind: str = "video") -> None:
    """Checks that a name, of a video or another kind, is not among those."""
    if name in seen:
        raise ValueError(f"the {kind} {name!r} occurs a second time.")


def parse_prediction(line: str, num_classes: int | None = None) -> VideoScores:
    """Parses a line of a prediction CSV."""
    video_id, words = split_line(line)
    if len(words) % 2:
        raise ValueError(
            "a class and its score must come in pairs, got "
            f"{len(words)} fields."
        )
    classes = to_classes(words[::2], num_classes)
    return VideoScores(video_id, classes, to_scores(words[1::2]))


def split_line(line: str) -> tuple[str, list[str]]:
    """Returns the id and the fields after the last comma."""
    video_id, comma, rest = line.rpartition(",")
    if not comma or not video_id:
        raise ValueError(
            f"an id and a comma must come first, got {line[:_SHOWN]!r}."
        )
    return video_id, rest.split()


def check_num_classes(num_classes: int | None) -> None:
    """Checks that a number of classes, if it is known, is 1 or more."""
    if num_classes is not None:
        check_at_least(1, num_classes=num_classes)


def to_classes(values: Iterable[Any], num_classes: int | None) -> list[int]:
    """Returns class indexes of whole numbers or their texts, checked."""
    classes = []
    for value in values:
        if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise ValueError(
                "a class must be a whole number, 0 or more, got "
                f"{_show(value)}."
            )
        classes.append(value)
    bound = _MOST_CLASSES if num_classes is None else num_classes
    if max(classes, default=0) >= bound:
        named = "" if num_classes is None else " (--num_classes)"
        raise ValueError(
            f"a class must be from 0 to {bound - 1}{named}, got "
            f"{_show(max(classes))}."
        )
    seen: set[int] = set()
    for number in classes:
        if number in seen:
            raise ValueError(f"the class {number} occurs a second time.")
        seen.add(number)
    return classes


def to_scores(values: Iterable[Any]) -> list[float]:
    """Returns scores in [0, 1] of numbers or their texts, checked."""
    scores = []
    for value in values:
        try:
            score = float(value)
        except (OverflowError, TypeError, ValueError):
            score = float("nan")
        if not 0 <= score <= 1:
            raise ValueError(
                f"a score must be a number from 0 to 1, got {_show(value)}."
            )
        scores.append(score)
    return scores


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
