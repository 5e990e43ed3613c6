"""CSV manifests: a line a video, with its labels."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from distill.system.named_reads import open_text
from distill.system.storage import to_path

ID, LABELS, SPLIT, PATH = "id", "labels", "split", "path"


class ManifestRow(NamedTuple):
    """A video of a manifest.

    Attributes:
      fields: By column, the texts of the line.
      id: Its id: the column `id`, or else its path without the suffix.
      labels: Names or numbers of its classes.
      split: Its split; empty for none.
      place: The line, for errors.
    """

    fields: Mapping[str, str]
    id: str
    labels: list[str]
    split: str
    place: str


def read_manifest(
    path: Path, columns: Sequence[str], instead_of_path: Sequence[str] = ()
) -> Iterator[ManifestRow]:
    """Yields the videos of a manifest, in the order of its lines.

    Labels are separated by semicolons.

    Args:
      path: The CSV file, whose first line names the columns.
      columns: Columns that it must have.
      instead_of_path: Columns that it must have where it has no `path`.

    Raises:
      ValueError: A column or a field is missing, or the file is damaged.
    """
    with open_text(path, "utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        try:
            found = list(reader.fieldnames or [])
            others = [PATH] if PATH in found else [*instead_of_path]
            for name in (*columns, *(others or [PATH])):
                if name not in found:
                    raise ValueError(
                        f"{path} has no column {name!r}; its first line names "
                        f"{found}."
                    )
            for row in reader:
                place = f"{path}, line {reader.line_num}"
                if None in row or None in row.values():
                    raise ValueError(
                        f"{place}: it must have {len(found)} fields, as the "
                        "first line has."
                    )
                yield _read_row(row, place)
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(
                f"{path}, line {reader.line_num}: {error}."
            ) from error


def _read_row(row: Mapping[str, str], place: str) -> ManifestRow:
    labels = [label.strip() for label in row.get(LABELS, "").split(";")]
    video_id = row.get(ID) or str(to_path(row[PATH]).with_suffix(""))
    return ManifestRow(
        row,
        video_id,
        [label for label in labels if label],
        row.get(SPLIT, ""),
        f"{place} ({video_id})",
    )
