"""The names of the classes: a CSV file of a line for each index."""

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

from distill.system.small_files import read_small_text

CLASS_NAMES = "class_names.csv"
_BYTES_PER_NAME = 10_000
# Where the number of classes is not known.
_MOST_NAMES = 10_000
_SHOWN = 200


def read_class_names(
    file: str | Path, num_classes: int | None = None
) -> tuple[str, ...]:
    """Reads the names of the classes from a CSV file.

    Args:
      file: A header, then a line a class: its index in the first column, its
        name in the last.
      num_classes: Number of classes; None: as many as the file names.

    Raises:
      ValueError: A line has another form, or a class has no name or two.
    """
    try:
        most_names = _MOST_NAMES if num_classes is None else num_classes
        text = read_small_text(file, _BYTES_PER_NAME * (most_names + 1))
    except ValueError as error:
        raise ValueError(f"{file} holds no class names: {error}.") from error
    reader = csv.reader(io.StringIO(text, newline=""))
    names: dict[int, str] = {}
    try:
        next(reader, None)
        for row in reader:
            if len(row) < 2 or not re.fullmatch("[0-9]{1,9}", row[0]):
                raise ValueError(f"{str(row)[:_SHOWN]} is not INDEX,...,NAME")
            index = int(row[0])
            if index >= most_names or index in names:
                raise ValueError(
                    f"class {index} has a name already, or is not among the "
                    f"{most_names} classes"
                )
            names[index] = row[-1]
    except (csv.Error, ValueError) as error:
        raise ValueError(f"{file}, line {reader.line_num}: {error}.") from error
    if num_classes is None:
        num_classes = max(names, default=0) + 1
    missing = (index for index in range(num_classes) if index not in names)
    for index in missing:
        raise ValueError(
            f"{file} names {len(names)} of {num_classes} classes; class "
            f"{index} has no name."
        )
    return tuple(names[index] for index in range(num_classes))


def write_class_names(path: Path, names: Sequence[str]) -> None:
    """Writes a CSV file that `read_class_names` reads."""
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("index", "name"))
        writer.writerows(enumerate(names))


def choose_class_names(
    file: str | Path | None, num_classes: int
) -> tuple[str, ...]:
    """Returns the names that a file gives, or the indexes without a file."""
    if file is None:
        return numbered_classes(num_classes)
    return read_class_names(file, num_classes)


def numbered_classes(num_classes: int) -> tuple[str, ...]:
    """Returns the classes' indexes as their names."""
    return tuple(map(str, range(num_classes)))
