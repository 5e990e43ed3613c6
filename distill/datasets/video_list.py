"""The video files of a data set, with their labels."""

import dataclasses
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from distill.datasets.array_videos import is_number
from distill.datasets.manifest import PATH, read_manifest
from distill.system.file_patterns import match_patterns
from distill.system.storage import join, list_files, to_path

VIDEO_SUFFIXES = (
    *(".3gp", ".avi", ".flv", ".gif", ".m4v", ".mkv", ".mov", ".mp4"),
    *(".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm", ".wmv"),
)


@dataclasses.dataclass(frozen=True)
class VideoEntry:
    """A video file of a data set.

    Attributes:
      id: Its id, which no other video has.
      path: The file.
      labels: Names or numbers of its classes; empty where they are not known.
      split: Its split; empty for none of its own.
    """

    id: str
    path: str
    labels: tuple[str, ...] = ()
    split: str = ""


def list_videos(source: str) -> list[VideoEntry]:
    """Returns the videos of a manifest, a folder, or of globs.

    Args:
      source: A CSV manifest with the column `path` and perhaps `id`, `labels`
        (separated by semicolons) and `split`; a folder with a folder for each
        class; or globs, separated by commas, of videos without labels, whose
        ids are their names.

    Raises:
      ValueError: There is no video, or two have one id.
    """
    path = to_path(source) if "," not in source else None
    if path is not None and path.suffix == ".csv":
        videos = _read_list(path)
    elif path is not None and path.is_dir():
        videos = _list_folder(path)
    else:
        videos = [
            VideoEntry(to_path(file).name, file)
            for file in match_patterns(source, list_files)
        ]
    if not videos:
        raise ValueError(f"{source} names no video.")
    _check_ids(videos)
    return videos


def _read_list(path: Path) -> list[VideoEntry]:
    return [
        VideoEntry(
            row.id,
            str(join(path.parent, row.fields[PATH])),
            tuple(row.labels),
            row.split,
        )
        for row in read_manifest(path, [PATH])
    ]


def _list_folder(folder: Path) -> list[VideoEntry]:
    videos = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in VIDEO_SUFFIXES:
            continue
        inside = path.relative_to(folder)
        labels = inside.parts[:1] if len(inside.parts) == 2 else ()
        videos.append(VideoEntry(inside.as_posix(), str(path), labels))
    if not videos:
        raise ValueError(
            f"{folder} holds no file that ends in {', '.join(VIDEO_SUFFIXES)}."
        )
    return videos


def _check_ids(videos: Iterable[VideoEntry]) -> None:
    seen: dict[str, str] = {}
    for video in videos:
        other = seen.setdefault(video.id, video.path)
        if other != video.path:
            raise ValueError(
                f"{other} and {video.path} have the same id, {video.id!r}: "
                "give ids in a CSV manifest (columns id,path)."
            )


def name_classes(
    videos: Sequence[VideoEntry], num_classes: int | None
) -> tuple[tuple[str, ...] | None, int]:
    """Returns the classes' names, None for numbers, and their number.

    Raises:
      ValueError: There are names and numbers, or no label at all.
    """
    labels = {label for video in videos for label in video.labels}
    if all(map(is_number, labels)):
        if num_classes is None and not labels:
            raise ValueError(
                "No video has a label: give num_classes, or class_names_file."
            )
        return None, num_classes or max(map(int, labels)) + 1
    names = tuple(sorted(labels))
    if num_classes not in (None, len(names)):
        raise ValueError(
            f"num_classes={num_classes}, but the labels are {len(names)} "
            "names: give class_names_file."
        )
    return names, len(names)


def digest_of(videos: Iterable[Any]) -> str:
    """Returns a SHA-256 that changes with any field of any dataclass."""
    digest = hashlib.sha256()
    for video in videos:
        digest.update(repr(dataclasses.astuple(video)).encode())
    return digest.hexdigest()
