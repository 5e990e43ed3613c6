"""Input files: found by globs, and checked before anything is read."""

import tensorflow as tf

from distill.data.bad_records import BadRecordError
from distill.system.file_patterns import match_patterns
from distill.system.storage import check_urls


def find_files(patterns: str) -> list[str]:
    """Lists the files that match any of several globs.

    Args:
      patterns: Globs separated by commas, of any scheme TensorFlow reads.

    Returns:
      The files' names, sorted, each once.

    Raises:
      ValueError: A glob matches no file, or TensorFlow does not read its
        scheme.
    """
    check_urls(patterns, records=True)

    def list_matches(pattern: str) -> list[str]:
        try:
            return tf.io.gfile.glob(pattern)
        except tf.errors.OpError as error:
            raise ValueError(
                f"Cannot list {pattern!r}: {error.message}"
            ) from error

    return match_patterns(patterns, list_matches)


def check_files(files: list[str], sizes: dict[str, int] | None = None) -> None:
    """Checks that every file can be opened and has not changed its size.

    tf.data would retry a file that cannot be opened forever, so no error of
    opening is skipped.

    Args:
      files: Their names.
      sizes: Known sizes in bytes, by name; those of other files are added.

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


def file_size(file: str) -> int:
    """Returns the bytes of a file; BadRecordError if it cannot be read."""
    try:
        return tf.io.gfile.stat(file).length
    except tf.errors.OpError as error:
        raise BadRecordError(f"{file} cannot be read: {error.message}.") from (
            error
        )


def name_of(file: str) -> str:
    """Returns a file's name without its folder."""
    return file.rsplit("/", 1)[-1]


def describe_files(files: list[str]) -> str:
    """Returns the number of files and the names of the first three."""
    first = ", ".join(files[:3])
    return f"{len(files)} files: {first}{' ...' if len(files) > 3 else ''}"
