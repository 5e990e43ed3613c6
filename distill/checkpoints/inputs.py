"""The files that a run read, as its checkpoints describe them."""

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping

from distill.system.small_files import parse_json_object
from distill.system.typed_json import read_dataclass

# The name, without its folder, and the bytes of each file, in their order.
NamesAndSizes = list[tuple[str, int]]


@dataclasses.dataclass(frozen=True)
class FileList:
    """A list of files in the order in which they are read.

    Attributes:
      num_files: Their number.
      num_bytes: Their bytes together.
      sha256: SHA-256 of their names, without folders, and their sizes.
    """

    num_files: int
    num_bytes: int
    sha256: str

    def __str__(self) -> str:
        """Describes the list in a few words."""
        return (
            f"{self.num_files} files of {self.num_bytes:,} bytes, SHA-256 of "
            f"the list {self.sha256[:12]}"
        )

    @classmethod
    def of(cls, files: Iterable[tuple[str, int]]) -> "FileList":
        """Returns the list of some names and sizes."""
        listed = list(files)
        digest = hashlib.sha256(json.dumps(listed).encode())
        num_bytes = sum(size for _, size in listed)
        return cls(len(listed), num_bytes, digest.hexdigest())


@dataclasses.dataclass(frozen=True)
class Measure:
    """All on which a validation score depends beside the network.

    Attributes:
      files: The videos' files.
      top_k: Classes a video that enter GAP.
      min_frames: Videos of fewer frames are left out.
    """

    files: FileList
    top_k: int
    min_frames: int


@dataclasses.dataclass(frozen=True)
class RunInputs:
    """The files of a run.

    Attributes:
      train_files: Its training data.
      digests: SHA-256 of each other file, by the name of its setting.
      measure: That of the best score; None without validation.
    """

    train_files: FileList
    digests: Mapping[str, str]
    measure: Measure | None = None

    def number(self) -> int:
        """Returns a whole number below 2**60 that follows from all fields."""
        digest = hashlib.sha256(self.to_json().encode()).hexdigest()
        return int(digest[:15], 16)

    def by_name(self) -> Iterator[tuple[str, str]]:
        """Yields a name and a text for each file or list of files."""
        yield "train_files", str(self.train_files)
        yield from self.digests.items()
        if self.measure is not None:
            yield "validation_files", str(self.measure.files)
            yield "top_k", str(self.measure.top_k)

    def to_json(self) -> str:
        """Returns the fields as a JSON object."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "RunInputs":
        """Returns what `to_json` wrote.

        Raises:
          ValueError: The text is not a JSON object; or a field is missing,
            unknown or of another type.
        """
        inputs = read_dataclass(cls, parse_json_object(text))
        for name, digest in inputs.digests.items():
            if not isinstance(digest, str):
                raise ValueError(f"digests.{name} must be a text")
        return inputs
