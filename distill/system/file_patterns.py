"""Comma-separated file patterns."""

import os
from collections.abc import Callable, Iterable

# A pattern that begins so names files that the others do not.
EXCLUDED = "!"


def match_patterns(
    patterns: str, list_matches: Callable[[str], Iterable[str]]
) -> list[str]:
    """Returns the files that match any of some patterns, sorted, each once.

    Commas separate the patterns; `list_matches` lists the files of one. Files
    that match a pattern behind a `!` are left out, whatever its place.

    Raises:
      ValueError: A pattern matches no file, none is given, or all files are
        left out.
    """
    files: set[str] = set()
    left_out: set[str] = set()
    for pattern in filter(None, map(str.strip, patterns.split(","))):
        name = pattern.removeprefix(EXCLUDED)
        matches = list_matches(name)
        if not matches:
            raise ValueError(f"No file matches {pattern!r}.")
        if name == pattern:
            files.update(matches)
        else:
            left_out.update(map(_place, matches))
    if not files:
        raise ValueError(f"No file pattern given: {patterns!r}.")
    kept = [file for file in files if _place(file) not in left_out]
    if not kept:
        raise ValueError(f"All files are left out: {patterns!r}.")
    return sorted(kept)


def exclude(patterns: str, excluded: str) -> str:
    """Returns patterns that leave out the files of other patterns."""
    others = filter(None, map(str.strip, excluded.split(",")))
    return ",".join([patterns, *(f"{EXCLUDED}{other}" for other in others)])


def _place(file: str) -> str:
    """Returns a name that two spellings of a local path share."""
    return file if "://" in file else os.path.realpath(file)
