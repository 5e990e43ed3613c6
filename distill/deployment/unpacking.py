"""Artifacts out of archives: unpacked within limits, and removed again."""

import contextlib
import gzip
import os
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, cast

from distill.deployment.interface import CARD, artifact_rows, read_card
from distill.system.storage import local_copy, to_path
from distill.system.write_errors import name_write_errors

ARCHIVE_SUFFIXES = (".tar.gz", ".tgz")
# A model of the YouTube-8M challenge had at most 1 GB.
MOST_BYTES = 4 * 2**30
MOST_MEMBERS = 10_000
# The tarfile module reads long names into memory, and data in small pieces.
_MOST_AT_ONCE = 2**20
_TOO_LARGE = f"the archive has more than {MOST_BYTES:,} bytes unpacked."
_DAMAGE = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile)


def is_archive(path: str | Path) -> bool:
    """Returns whether a path looks like that of an archive."""
    return str(path).endswith(ARCHIVE_SUFFIXES)


@contextlib.contextmanager
def unpacked(path: str | Path) -> Iterator[Path]:
    """Yields the path of an artifact beside its card.

    Args:
      path: An artifact, which is yielded as it is; or a `.tar.gz` or `.tgz`
        archive of an export or of one artifact with its card, whose first
        artifact lies in a temporary directory until the exit.

    Raises:
      ValueError: The archive is damaged, too large, holds anything but files
        and folders within it, or holds no artifact; the message names the
        archive and the member.
    """
    path = to_path(path)
    if not is_archive(path) or path.is_dir():
        yield path
        return
    if not path.is_file():
        raise ValueError(f"There is no archive {path}.")
    with tempfile.TemporaryDirectory(prefix="distill-archive-") as name:
        with name_write_errors(name), local_copy(path) as archive:
            _unpack(archive, Path(name), str(path))
        try:
            yield _find_artifact(path, Path(name))
        except ValueError as error:
            if name not in str(error):
                raise
            raise ValueError(str(error).replace(name, str(path))) from error


def _unpack(path: Path, folder: Path, title: str) -> None:
    """Writes the members of an archive into an empty folder.

    Errors name the archive by `title`.
    """
    place = title
    try:
        with (
            gzip.open(path) as contents,
            tarfile.open(fileobj=_bound(contents), mode="r:") as archive,
        ):
            for count, member in enumerate(archive, start=1):
                place = f"{title}, member {member.name!r}"
                _check_member(member, count)
                target = folder / member.name
                if member.isdir():
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                source = cast(IO[bytes], archive.extractfile(member))
                with target.open("xb") as file:
                    shutil.copyfileobj(source, file)
            place = title
            _check_end(contents)
    except _DAMAGE as error:
        reason = str(error) or "it ends too early"
        raise ValueError(
            f"{place}: the archive is damaged: {reason}."
        ) from error
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise ValueError(f"{place}: another member has its path.") from error
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from error


def _check_member(member: tarfile.TarInfo, count: int) -> None:
    name = PurePosixPath(member.name)
    if count > MOST_MEMBERS:
        raise ValueError(f"the archive has more than {MOST_MEMBERS:,} members.")
    if name.is_absolute() or ".." in name.parts or "\0" in member.name:
        raise ValueError("its path leaves the archive.")
    if member.issparse() or not (member.isfile() or member.isdir()):
        raise ValueError("it is neither a plain file nor a folder.")


def _check_end(contents: gzip.GzipFile) -> None:
    """Reads the rest: the checksum comes last, and tarfile skips bad heads."""
    while rest := contents.read(_MOST_AT_ONCE):
        if rest.strip(b"\0"):
            raise ValueError("the archive is damaged: it has no end.")
        if contents.tell() > MOST_BYTES:
            raise ValueError(_TOO_LARGE)


def _bound(file: gzip.GzipFile) -> IO[bytes]:
    return cast(IO[bytes], _Bounded(file))


class _Bounded:
    """A file that is read up to a limit, in small pieces."""

    def __init__(self, file: gzip.GzipFile):
        self._file = file
        self.tell = file.tell

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _MOST_AT_ONCE:
            raise ValueError("the member after it has too long a header.")
        self._check(self.tell() + size)
        return self._file.read(size)

    def seek(self, position: int) -> int:
        self._check(position)
        return self._file.seek(position)

    def _check(self, position: int) -> None:
        if position > MOST_BYTES + tarfile.RECORDSIZE:
            raise ValueError(_TOO_LARGE)


def _find_artifact(path: Path, folder: Path) -> Path:
    """Returns the first artifact of the card in a folder, or one below it."""
    folders = [folder, *(each for each in folder.iterdir() if each.is_dir())]
    found = [each for each in folders if (each / CARD).is_file()]
    if not found:
        held = sorted(os.listdir(folder))[:5]
        raise ValueError(
            f"{path} holds no {CARD}, so it is not the archive of an export; "
            f"it holds {', '.join(held) or 'nothing'}."
        )
    rows = artifact_rows(found[0], read_card(found[0], []))
    for name in rows:
        if (found[0] / name).exists():
            return found[0] / name
    raise ValueError(
        f"{path} holds none of its card's artifacts: {list(rows)}."
    )
