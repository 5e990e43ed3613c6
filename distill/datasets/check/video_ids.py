"""Ids that come more than once, among any number of videos.

The ids lie in a temporary database of SQLite, whose pages in memory are
bounded: it writes and sorts the rest in files.
"""

import bisect
import dataclasses
import itertools
import sqlite3
import tempfile
from collections.abc import Iterable
from typing import Any

MOST_EXAMPLES = 5
# -N: N KiB.
_CACHE_SIZE = -64_000


@dataclasses.dataclass
class Duplicates:
    """Ids that come more than once in one split, or in both of two.

    Attributes:
      num_ids: Different ids.
      num_records: Within one split: their records beyond each id's first.
      examples: The first few: two places, (file, record number) each, and the
        id.
    """

    num_ids: int = 0
    num_records: int = 0
    examples: list[tuple] = dataclasses.field(default_factory=list)


def keep_first(examples: list[tuple], example: tuple) -> None:
    """Adds an example to a sorted list, which keeps the smallest few."""
    bisect.insort(examples, example)
    del examples[MOST_EXAMPLES:]


class VideoIds:
    """The ids of all files, gathered in any order.

    To be used as a context manager: the database goes with it.

    Raises:
      OSError: There is no room for the database.
    """

    def __init__(self) -> None:
        # Without a name it is a file in TMPDIR that no one else sees.
        self._database = sqlite3.connect("")
        self._database.execute(f"PRAGMA cache_size = {_CACHE_SIZE}")
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute(
            "CREATE TABLE videos (id BLOB, split INT, file INT, number INT)"
        )

    def __enter__(self) -> "VideoIds":
        """Returns itself."""
        return self

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        """Removes the database; says if there was no room for it."""
        self._database.close()
        if isinstance(error, sqlite3.OperationalError):
            raise OSError(
                f"The ids do not fit into {tempfile.gettempdir()}: {error}. "
                "(TMPDIR names another directory.)"
            ) from error

    def add(
        self, split: int, file: int, ids: Iterable[tuple[int, bytes]]
    ) -> None:
        """Adds the record numbers and ids of one file of a split."""
        self._database.executemany(
            "INSERT INTO videos VALUES (?, ?, ?, ?)",
            ((video_id, split, file, number) for number, video_id in ids),
        )

    def find_duplicates(self) -> dict[tuple[int, int], Duplicates]:
        """Returns the ids that come twice, by the numbers of two splits.

        A pair of a number with itself stands for ids that come twice in a
        split. Pairs without a duplicate are left out.
        """
        found: dict[tuple[int, int], Duplicates] = {}
        rows = self._database.execute(
            "SELECT * FROM videos WHERE id IN"
            " (SELECT id FROM videos GROUP BY id HAVING COUNT(*) > 1)"
            " ORDER BY id, split, file, number"
        )
        for video_id, videos in itertools.groupby(rows, lambda row: row[0]):
            by_split: dict[int, list[tuple[int, int]]] = {}
            for _, split, file, number in videos:
                by_split.setdefault(split, []).append((file, number))
            for split, (first, *others) in by_split.items():
                if others:
                    twice = found.setdefault((split, split), Duplicates())
                    twice.num_ids += 1
                    twice.num_records += len(others)
                    keep_first(twice.examples, (first, others[0], video_id))
            for pair in itertools.combinations(by_split, 2):
                both = found.setdefault(pair, Duplicates())
                both.num_ids += 1
                both.num_records += 1
                firsts = [by_split[split][0] for split in pair]
                keep_first(both.examples, (*firsts, video_id))
        return found
