"""One writer for a directory: a lock that ends with its process."""

import contextlib
import datetime
import errno
import fcntl
import json
import os
import socket
import weakref
from pathlib import Path
from typing import Any

from distill.system.storage import is_remote, to_path
from distill.system.write_errors import WriteError, name_write_errors

LOCK_NAME = ".lock"
_LOCK_HELD_ERRNOS = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)


def close_lock(descriptor: int) -> None:
    """Closes a file that was opened to be locked.

    Nothing depends on what was written to it, so no error of it matters; the
    descriptor is closed in any case.
    """
    with contextlib.suppress(OSError):
        os.close(descriptor)


class DirectoryLock:
    """Locks a directory for the one process that writes it.

    The operating system locks a file: however the process ends, the kernel
    releases the lock. The file names its holder for people to read. A `with`
    statement holds the lock for its body. Cloud storage has no locks: there
    a warning is printed, and nothing is locked.

    Args:
      directory: The directory; it is made if it does not exist, and removed
        again if nothing is written there.
      file: The file to lock; None: `.lock` in the directory.
    """

    def __init__(self, directory: str | Path, file: Path | None = None):
        self.directory = to_path(directory)
        self._file = file or self.directory / LOCK_NAME
        self._descriptor: int | None = None
        self._made = self._warned = False
        self._finalizer: weakref.finalize | None = None

    def __enter__(self) -> "DirectoryLock":
        """Takes the lock."""
        self.acquire()
        return self

    def __exit__(self, *error: Any) -> None:
        """Releases the lock, if it is held."""
        if self._descriptor is None or self._finalizer is None:
            return
        if self._has_its_name(self._descriptor):
            with contextlib.suppress(OSError):
                self._file.unlink()
        if self._made:
            with contextlib.suppress(OSError):
                self.directory.rmdir()
        self._finalizer()
        self._descriptor = self._finalizer = None

    def acquire(self) -> None:
        """Takes the lock, unless this object holds it already.

        Raises:
          ValueError: Another process holds it.
          WriteError: The directory cannot be written.
        """
        if is_remote(self.directory):
            if not self._warned:
                self._warn("cloud storage has no locks")
            self._warned = True
            return
        while self._descriptor is None:
            with name_write_errors(self._file.parent):
                if not self._file.parent.exists():
                    self._made = self._file.parent == self.directory
                    self._file.parent.mkdir(parents=True, exist_ok=True)
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
                descriptor = os.open(self._file, flags, 0o666)
            if not self._lock(descriptor):
                close_lock(descriptor)

    def _lock(self, descriptor: int) -> bool:
        """Locks an open file; returns False if it was removed meanwhile."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _LOCK_HELD_ERRNOS:
                message = self._describe_holder(descriptor)
                close_lock(descriptor)
                raise ValueError(message) from error
            self._warn(f"its file system has no locks ({error.strerror})")
        if not self._has_its_name(descriptor):
            return False
        self._descriptor = descriptor
        self._finalizer = weakref.finalize(self, close_lock, descriptor)
        self._describe(descriptor)
        return True

    def _warn(self, reason: str) -> None:
        print(
            f"WARNING: {self.directory}: {reason}; nothing keeps a second run "
            "out of it.",
            flush=True,
        )

    def _has_its_name(self, descriptor: int) -> bool:
        try:
            found = os.stat(self._file)
        except OSError:
            return False
        return os.path.samestat(found, os.fstat(descriptor))

    def _describe(self, descriptor: int) -> None:
        now = datetime.datetime.now(datetime.UTC)
        holder = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "since": f"{now:%Y-%m-%d %H:%M:%S} UTC",
        }
        # On a full disk the lock works without it.
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(holder).encode(), 0)

    def _describe_holder(self, descriptor: int) -> str:
        try:
            holder = json.loads(os.pread(descriptor, 4096, 0))
            who = (
                f"process {holder['pid']} on {holder['host']} has been writing "
                f"it since {holder['since']}"
            )
        except (OSError, ValueError, KeyError, TypeError):
            who = "another process is writing it"
        return (
            f"{self.directory} is locked: {who}. Wait for its end, or give "
            "another directory."
        )

    def check(self) -> None:
        """Checks that the locked directory still has its name.

        Raises:
          WriteError: It was removed or renamed.
        """
        if self._descriptor is not None and not self._has_its_name(
            self._descriptor
        ):
            raise WriteError(
                f"{self.directory} was removed or replaced while it was "
                "written: nothing more is written there."
            )
