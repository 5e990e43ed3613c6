"""TensorFlow's file system as one of fsspec, for `ram://`."""

import contextlib
import errno
import io
import os
import secrets
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
from fsspec.spec import AbstractFileSystem

_BLOCK_BYTES = 1 << 24


class TensorFlowFiles(AbstractFileSystem):
    """Files that TensorFlow holds in the memory of this process.

    They are read and written whole.
    """

    protocol = "ram"

    def ls(self, path: str, detail: bool = True, **options: Any) -> list:
        """Returns what a directory holds; a file holds itself."""
        path = self._strip_protocol(path)
        names = [path]
        if self.info(path)["type"] == "directory":
            with _python_errors(path) as url:
                inside = tf.io.gfile.listdir(url)
                # For `a/b` TensorFlow also lists `.txt` of a file `a/b.txt`.
                found = [n for n in inside if tf.io.gfile.exists(f"{url}/{n}")]
            names = [f"{path}/{name.strip('/')}" for name in found]
        return [self.info(name) for name in names] if detail else names

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        """Returns name, kind and bytes of a file or directory."""
        path = self._strip_protocol(path)
        with _python_errors(path) as url:
            found = tf.io.gfile.stat(url)
            kind = "directory" if tf.io.gfile.isdir(url) else "file"
        return {"name": path, "type": kind, "size": found.length}

    def put_file(self, lpath: str, rpath: str, **options: Any) -> None:
        """Writes a file under another name, and renames it when whole."""
        path = self._strip_protocol(rpath)
        with _python_errors(path) as url, open(lpath, "rb") as source:
            tf.io.gfile.makedirs(url.rpartition("/")[0])
            temporary = f"{url}.{secrets.token_hex(6)}.tmp"
            try:
                with tf.io.gfile.GFile(temporary, "wb") as file:
                    file.write(b"")  # without a write there would be no file
                    while block := source.read(_BLOCK_BYTES):
                        file.write(block)
                tf.io.gfile.rename(temporary, url, overwrite=True)
            except BaseException:
                with contextlib.suppress(tf.errors.NotFoundError):
                    tf.io.gfile.remove(temporary)
                raise

    def rm_file(self, path: str) -> None:
        """Removes a file."""
        with _python_errors(path) as url:
            tf.io.gfile.remove(url)

    def rmdir(self, path: str) -> None:
        """Removes a directory and all that it holds."""
        with _python_errors(path) as url:
            tf.io.gfile.rmtree(url)

    def _open(self, path: str, mode: str = "rb", **options: Any) -> io.BytesIO:
        if mode != "rb":
            raise ValueError(f"{path} is written by put_file, got {mode!r}.")
        with _python_errors(path) as url, tf.io.gfile.GFile(url, "rb") as file:
            return io.BytesIO(file.read())


@contextlib.contextmanager
def _python_errors(path: str) -> Iterator[str]:
    """Gives the URL of a path; turns TensorFlow's errors into Python's."""
    url = f"ram://{path}"
    try:
        yield url
    except tf.errors.NotFoundError as error:
        raise FileNotFoundError(
            errno.ENOENT, os.strerror(errno.ENOENT), url
        ) from error
    except tf.errors.OpError as error:
        raise OSError(f"{url}: {error.message}") from error
