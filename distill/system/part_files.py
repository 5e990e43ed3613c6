"""Parts of a result, each written by a task, until they are joined.

They lie in a hidden directory beside the result whose name follows from what
they are made of: an interrupted job goes on with the parts that are missing,
and another job has another directory.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from distill.system.storage import remove_directory

_DIGITS_OF_DIGEST = 16


class PartFiles:
    """The parts of a result.

    Args:
      result: The file or directory that they become.
      described: JSON values from which all parts follow.
      count: Number of parts.

    Attributes:
      paths: The file of each part.
    """

    def __init__(self, result: Path, described: Any, count: int):
        text = json.dumps([described, count], sort_keys=True)
        digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGITS_OF_DIGEST]
        self.directory = result.with_name(f".{result.name}.{digest}.parts")
        self.paths = [self.directory / f"{n:06d}" for n in range(count)]

    def missing(self) -> list[int]:
        """Returns the numbers of the parts that are not there."""
        there: set[str] = set()
        if self.directory.exists():
            there = {path.name for path in self.directory.iterdir()}
        return [n for n, p in enumerate(self.paths) if p.name not in there]

    def check(self) -> None:
        """Checks that all parts are there.

        Raises:
          ValueError: One is missing.
        """
        for number in self.missing():
            raise ValueError(
                f"{self.paths[number]} was not written: repeat the command."
            )

    def remove(self) -> None:
        """Removes the parts."""
        if self.directory.exists():
            remove_directory(self.directory)
