"""The files that are read: found by globs, opened before anything is read."""

import tensorflow as tf

from distill.data.bad_records import BadRecordError
from distill.system.file_patterns import match_patterns


def find_files(patterns: str) -> list[str]:
    """Lists the files that match any of several globs.

    Args:
      patterns: Globs separated by commas, of any scheme TensorFlow reads.

    Returns:
      The files' names, sorted, each once.

    Raises:
      ValueError: A glob matches no file.
    """

    def list_matches(pattern: str) -> list[str]:
        try:
            return tf.io.gfile.glob(pattern)
        except tf.errors.OpError as error:
            raise ValueError(
                f"Cannot list {pattern!r}: {error.message}"
            ) from error

    return match_patterns(patterns, list_matches)


def check_files(files: list[str], sizes: dict[str, int] | None = None) -> None:
    """Checks that every file can be opened and is what it was before.

    No error of opening one can be skipped: it would come again for ever.

    Args:
      files: Their names.
      sizes: The bytes of the files that were checked before, by name; those
        of the others are added.

    Raises:
      BadRecordError: A file cannot be read, or its size has changed.
    """
    for file in files:
        try:
            with tf.io.gfile.GFile(file, "rb") as opened:
                opened.read(1)
                size = opened.size()
        except tf.errors.OpError as error:
            raise BadRecordError(
                f"{file} cannot be read: {error.message}."
            ) from error
        before = size if sizes is None else sizes.setdefault(file, size)
        if size != before:
            raise BadRecordError(
                f"{file} was changed while it was used: it had {before:,} "
                f"bytes, and has {size:,}."
            )


def describe_files(files: list[str]) -> str:
    """Returns how many files there are and the names of the first."""
    first = ", ".join(files[:3])
    return f"{len(files)} files: {first}{' ...' if len(files) > 3 else ''}"
