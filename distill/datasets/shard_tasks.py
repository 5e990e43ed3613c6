"""A data set's shards, each written by a task of its own.

A shard is written whole or not at all, behind a note on what became of its
videos. So an interrupted job is simply repeated: it keeps the shards that are
there.
"""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from distill.datasets.shards import write_shard
from distill.system.atomic_files import replace_atomically
from distill.system.small_files import read_json_object

# A line a skipped video.
_MOST_NOTED = 100_000_000


@dataclasses.dataclass(frozen=True)
class Shard:
    """A shard, and the videos of which it is made."""

    path: Path
    split: str
    videos: Sequence[Any]

    @property
    def _note(self) -> Path:
        """File with what became of the videos."""
        return self.path.with_name(f".{self.path.name}.json")

    def write(self, records: Iterable[bytes], note: Mapping[str, Any]) -> None:
        """Writes the records behind the note, which they may complete."""

        def noted() -> Iterator[bytes]:
            yield from records
            with replace_atomically(self._note) as temporary:
                temporary.write_text(json.dumps(note))

        write_shard(self.path, noted())

    def read_note(self) -> dict[str, Any]:
        """Returns the note; ValueError if the shard was not written."""
        try:
            return read_json_object(self._note, _MOST_NOTED)
        except FileNotFoundError as error:
            raise ValueError(
                f"{self.path} was not written: repeat the command."
            ) from error


class DescribedShards:
    """Shards in a directory, with a file that says what they are made of.

    Args:
      directory: Where they lie.
      description: Name of the file.
      described: JSON values from which all shards follow, by name.
      shards: The shards.
      made: How they are made, a verb such as `packed`.

    Raises:
      ValueError: The directory holds shards that are made of something else.
    """

    def __init__(
        self,
        directory: Path,
        description: str,
        described: Mapping[str, Any],
        shards: Sequence[Shard],
        made: str,
    ):
        self.directory, self.shards, self._made = directory, shards, made
        self._path = directory / description
        self._text = json.dumps(described, indent=2) + "\n"
        self._check()

    def _check(self) -> None:
        if not self._path.exists():
            for shard in self.shards:
                if shard.path.exists():
                    raise ValueError(
                        f"{shard.path} would be replaced, but no "
                        f"{self._path.name} says what it is made of: give "
                        "another output_dir."
                    )
            return
        held = read_json_object(self._path, _MOST_NOTED)
        for name, value in json.loads(self._text).items():
            if held.get(name) != value:
                raise ValueError(
                    f"{self.directory} holds shards that were {self._made} "
                    f"with other {name}: {held.get(name)!r}, not {value!r}: "
                    "give another output_dir, or remove them."
                )

    def begin(self) -> list[Shard]:
        """Describes the shards; returns those that are missing."""
        with replace_atomically(self._path) as temporary:
            temporary.write_text(self._text)
        return [shard for shard in self.shards if not shard.path.exists()]
