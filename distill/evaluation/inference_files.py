"""Predictions of many files: a CSV for each, written once and kept."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from distill.data.pipeline import VideoReader
from distill.evaluation.evaluate import predict_videos
from distill.evaluation.inference import write_predictions
from distill.system.atomic_files import replace_atomically
from distill.system.small_files import read_json_object

DESCRIPTION = "inference.json"


def choose_shard(files: list[str], shard: str | None) -> list[str]:
    """Returns the files that fall to one of several processes.

    Args:
      files: All files.
      shard: `i,n`, of n processes number i from 0: every n-th file; None: all.

    Raises:
      ValueError: `shard` is of another form, or no file falls to it.
    """
    if shard is None:
        return files
    numbers = [text.strip() for text in shard.split(",")]
    if len(numbers) != 2 or not all(text.isdecimal() for text in numbers):
        raise ValueError(f"--shard must be i,n such as 0,4, got {shard!r}.")
    index, count = map(int, numbers)
    if not index < count:
        raise ValueError(
            f"--shard={shard}: i must be from 0 to n - 1, one less than n."
        )
    if not files[index::count]:
        raise ValueError(
            f"--shard={shard}: there are {len(files)} files, none for this "
            "process."
        )
    return files[index::count]


@dataclasses.dataclass(frozen=True)
class InferenceFiles:
    """Where the predictions of every file go.

    Attributes:
      directory: Of the CSV files, named as the files of videos.
      source: What the predictions depend on, as JSON can hold it; a directory
        holds those of one.
      top_k: Classes a video.
    """

    directory: Path
    source: dict[str, Any]
    top_k: int

    def prepare(self, files: list[str]) -> None:
        """Checks the directory and names.

        Raises:
          ValueError: It holds predictions of something else, or two files
            have one name.
        """
        names: dict[Path, str] = {}
        for file in files:
            other = names.setdefault(self.path(file), file)
            if other != file:
                raise ValueError(
                    f"{other} and {file} would both be written to "
                    f"{self.path(file)}: give them an --output_dir each."
                )
        description = self.directory / DESCRIPTION
        wanted = self.source | {"top_k": self.top_k}
        if description.exists():
            try:
                held = read_json_object(description)
            except ValueError as error:
                raise ValueError(
                    f"{description} describes no predictions: {error}."
                ) from error
            if held != wanted:
                raise ValueError(
                    f"{self.directory} holds predictions of {held}, not of "
                    f"{wanted}: give another --output_dir."
                )
            return
        with replace_atomically(description) as temporary:
            temporary.write_text(json.dumps(wanted, indent=2) + "\n")

    def path(self, file: str) -> Path:
        """Returns where the predictions of a file go."""
        name = file.rsplit("/", 1)[-1].removesuffix(".tfrecord")
        return self.directory / f"{name}.csv"

    def write(self, network: Any, reader: VideoReader) -> Iterator[str]:
        """Writes a CSV for each of the reader's files that has none.

        Args:
          network: What predicts.
          reader: Reads the files.

        Yields:
          A line a file.
        """
        self.prepare(reader.files)
        for file in reader.files:
            path = self.path(file)
            if path.exists():
                yield f"kept {path}"
                continue
            alone = dataclasses.replace(reader, files=[file])
            counts = write_predictions(
                path, predict_videos(network, alone), self.top_k
            )
            count = max(counts, default=0)
            yield f"wrote the predictions of {count} videos to {path}"
