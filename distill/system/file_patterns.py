"""Comma-separated file patterns."""

from collections.abc import Callable, Iterable


def match_patterns(
    patterns: str, list_matches: Callable[[str], Iterable[str]]
) -> list[str]:
    """Returns the files that match any of some patterns, sorted, each once.

    Commas separate the patterns; `list_matches` lists the files of one.

    Raises:
      ValueError: A pattern matches no file, or there is no pattern.
    """
    files: set[str] = set()
    for pattern in filter(None, map(str.strip, patterns.split(","))):
        matches = list_matches(pattern)
        if not matches:
            raise ValueError(f"No file matches {pattern!r}.")
        files.update(matches)
    if not files:
        raise ValueError(f"No file pattern given: {patterns!r}.")
    return sorted(files)
