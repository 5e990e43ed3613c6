"""Files and directories that are written locally and uploaded whole."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from distill.system.storage import (
    UPLOADING,
    is_remote,
    local_copy,
    remove_directory,
    upload,
)
from distill.system.write_errors import check_room, name_write_errors


@contextlib.contextmanager
def uploaded_file(path: Path, num_bytes: int = 0) -> Iterator[Path]:
    """Gives a local path; its file becomes `path` when the body ends.

    If the body or the upload fails, the old file stays. A process that is
    killed leaves a folder `distill-upload-*` among the temporary files.

    Args:
      path: A path of cloud storage.
      num_bytes: Lower bound of the size, as far as that is known.

    Raises:
      WriteError: The local file cannot be written, or not be uploaded.
    """
    with tempfile.TemporaryDirectory(prefix="distill-upload-") as folder:
        temporary = Path(folder, path.name)
        with name_write_errors(temporary):
            check_room(temporary, num_bytes)
            temporary.touch()
            yield temporary
        with name_write_errors(path):
            upload(temporary, path)


@contextlib.contextmanager
def uploaded_directory(path: Path, mark: str | None) -> Iterator[Path]:
    """Gives a local directory; its files become `path` when the body ends.

    Old files are removed first. While files are uploaded, and after an
    interruption, the directory holds a file `.uploading` and is refused by
    `local_copy`; the file `mark` comes last.

    Raises:
      WriteError: The directory cannot be written, or not be uploaded.
    """
    with tempfile.TemporaryDirectory(prefix="distill-upload-") as folder:
        temporary = Path(folder, path.name)
        with name_write_errors(temporary):
            temporary.mkdir()
            yield temporary
        sign = Path(folder, UPLOADING)
        sign.touch()
        files = [file for file in temporary.rglob("*") if file.is_file()]
        files.sort(key=lambda file: file == temporary / (mark or ""))
        with name_write_errors(path):
            if path.exists():
                remove_directory(path)
            upload(sign, path / UPLOADING)
            for file in files:
                upload(file, path / file.relative_to(temporary).as_posix())
            (path / UPLOADING).unlink()


class WorkingDirectory:
    """A directory whose files grow: logs and events.

    Nothing can be appended to a file of cloud storage. There the files grow
    in a temporary local directory, and `upload` writes those that changed
    again as a whole.

    Attributes:
      local: The directory to write to; `path` itself where that is local.
    """

    def __init__(self, path: Path, *names: str):
        """Makes the directory; files of these names are there already."""
        self._path = path
        self._temporary: tempfile.TemporaryDirectory | None = None
        self._uploaded: dict[Path, int] = {}
        self.local = path
        if not is_remote(path):
            path.mkdir(parents=True, exist_ok=True)
            return
        self._temporary = tempfile.TemporaryDirectory(prefix="distill-run-")
        self.local = Path(self._temporary.name)
        for name in names:
            if (path / name).exists():
                with local_copy(path / name) as copy:
                    copy.rename(self.local / name)

    def upload(self) -> None:
        """Uploads the files that have grown, if they are not there already.

        Raises:
          WriteError: A file cannot be uploaded.
        """
        if self._temporary is None:
            return
        for file in sorted(self.local.rglob("*")):
            size = file.stat().st_size
            if file.is_file() and self._uploaded.get(file) != size:
                path = self._path / file.relative_to(self.local).as_posix()
                with name_write_errors(path):
                    upload(file, path)
                self._uploaded[file] = size

    def close(self) -> None:
        """Uploads what has grown, and removes the temporary directory."""
        self.upload()
        if self._temporary is not None:
            self._temporary.cleanup()
