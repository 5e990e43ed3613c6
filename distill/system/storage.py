"""Paths that users name: local files, and URLs of cloud storage.

Every path that a user gives passes through `to_path`. A local name becomes a
`pathlib.Path`, a URL such as `gs://bucket/run` a `upath.UPath`, which has the
methods of a `pathlib.Path`. `open` and the functions of `os` refuse a `UPath`,
so no file can be written to a local folder `gs:` by mistake.

Files are uploaded and downloaded whole: HDF5, for one, needs a local file.
"""

import contextlib
import glob
import importlib.util
import logging
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from distill.system.extras import import_extra

# The package that each scheme needs beside universal_pathlib.
_PACKAGES = {"gs": "gcsfs", "s3": "s3fs", "ram": "tensorflow"}
_EXTRA = "cloud"
# TensorFlow reads records itself, and from these alone.
_TENSORFLOW_SCHEMES = ("gs", "ram")
_URL = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)
# In a flag several paths, or names and paths, may stand side by side.
_URL_IN_LIST = re.compile(rf"(?:^|[,=])\s*{_URL.pattern}", re.IGNORECASE)
# Such as what `pathlib.Path("gs://bucket")` makes of a URL.
_BROKEN_URL = re.compile(
    rf"(?:{'|'.join(_PACKAGES)}|file):/(?!/)|file://(?!(?:localhost)?/)",
    re.IGNORECASE,
)
_FILE_URL = re.compile(r"file://(?:localhost)?(?=/)", re.IGNORECASE)
# A directory holds a file of this name until it is uploaded whole.
UPLOADING = ".uploading"
# Libraries whose errors are not all an OSError.
_LIBRARIES = ("aiobotocore", "aiohttp", "botocore", "gcsfs", "google", "s3fs")


def to_path(path: str | Path) -> Path:
    """Returns the path object of a name: local, or of cloud storage.

    `file://` is local. A name with a colon but without `://` is local too.

    Raises:
      ValueError: The scheme of the URL is not supported, a package that it
        needs is not installed, or the URL has lost a slash.
    """
    if is_remote(path):
        return path  # type: ignore[return-value]
    check_urls(str(path))
    if not is_url(path):
        return Path(_FILE_URL.sub("", str(path)))
    scheme, _, rest = str(path).partition("://")
    scheme = scheme.lower()
    if scheme == "ram":
        _register_ram()
    upath = import_extra("upath", _EXTRA)
    for name in _LIBRARIES:
        # They tell where they found credentials, for one.
        logging.getLogger(name).setLevel(logging.WARNING)
    # Other processes write there too: a listing is never an old one.
    url = f"{scheme}://{rest.rstrip('/')}"
    return upath.UPath(url, use_listings_cache=False)


def _register_ram() -> None:
    """Makes TensorFlow's `ram://` known; this imports TensorFlow."""
    fsspec = import_extra("fsspec", _EXTRA)
    registry = import_extra("upath.registry", _EXTRA)
    name = "distill.data.tensorflow_files.TensorFlowFiles"
    fsspec.register_implementation("ram", name)
    fsspec.get_filesystem_class("ram")
    registry.register_implementation("ram", "upath.core.UPath", clobber=True)


def check_urls(text: str, records: bool = False) -> None:
    """Checks the schemes of a name, or of several separated by commas.

    It imports no library, so a program can check all names before it begins.

    Args:
      text: The names.
      records: Whether TensorFlow reads them, as it does records.

    Raises:
      ValueError: A scheme is not supported, or its package is not installed,
        or a URL has lost a slash.
    """
    if _BROKEN_URL.match(text):
        raise ValueError(
            f"{text!r} is a broken URL: write SCHEME://BUCKET/NAME or "
            "file:///NAME. (A pathlib.Path cannot hold a URL; give a text.)"
        )
    for scheme in map(str.lower, _URL_IN_LIST.findall(text)):
        if scheme == "file":
            continue
        if scheme not in _PACKAGES:
            raise ValueError(
                f"{text!r}: {scheme}:// is not supported. Give a local path, "
                "or a URL of gs:// or s3://."
            )
        if records and scheme not in _TENSORFLOW_SCHEMES:
            raise ValueError(
                f"{text!r}: TensorFlow reads records, and it does not read "
                f"{scheme}://. Give local files, or files of gs://."
            )
        needed = [] if records else ["upath", _PACKAGES[scheme]]
        for module in needed:
            if not _is_installed(module):
                raise ValueError(
                    f"{text!r}: {scheme}:// needs the package {module}: "
                    f"`pip install -e .[{_EXTRA}]` installs it."
                )


def warn_of_records(directory: str) -> None:
    """Prints a warning where TensorFlow does not read what is written."""
    scheme = directory.partition("://")[0].lower()
    if is_url(directory) and scheme not in _TENSORFLOW_SCHEMES:
        print(
            f"WARNING: {directory}: TensorFlow does not read {scheme}://; copy "
            "the records to a local disk to train on them.",
            flush=True,
        )


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ValueError:  # a module without a spec, or None in its place
        return False


def is_remote(path: Any) -> bool:
    """Returns whether a path object is one of cloud storage."""
    return hasattr(path, "storage_options")


def is_url(name: str | Path) -> bool:
    """Returns whether a name is a URL of cloud storage; imports nothing."""
    found = _URL.match(str(name))
    return found is not None and found[1].lower() != "file"


def local_path(argument: str, path: str | Path) -> Path:
    """Returns the path of a name that must be local.

    Raises:
      ValueError: It is a URL of cloud storage.
    """
    if is_url(path):
        raise ValueError(f"{argument} must be a local path, got {path!r}.")
    return to_path(path)


def join(directory: Path, name: str) -> Path:
    """Returns the path of a name that is relative to a directory, or whole."""
    return to_path(name) if is_url(name) else directory / name


def relative_name(path: Path, directory: Path) -> str:
    """Returns the name that `join` reads in a directory; URLs stay whole."""
    if is_remote(path) or is_remote(directory):
        return str(path)
    return os.path.relpath(path, directory)


def place_of(name: str | Path) -> str:
    """Returns a text that all names of one file have in common."""
    # `Path.resolve` raises an error of its own for a link to itself.
    return str(name) if is_url(name) else os.path.realpath(to_path(name))


def storage_reason(error: BaseException) -> str | None:
    """Returns the reason of an error of cloud storage; None for another."""
    package = type(error).__module__.partition(".")[0]
    if package not in _LIBRARIES:
        return None
    text = " ".join(str(error).split()).rstrip(".")
    return f"{type(error).__name__}: {text}"


def list_files(pattern: str) -> list[str]:
    """Returns the names of the files that match a glob, in any order."""
    path: Any = to_path(pattern)
    if not is_remote(path):
        return [n for n in glob.glob(str(path)) if Path(n).is_file()]
    found = path.fs.glob(path.path, detail=True)
    return [
        path.fs.unstrip_protocol(name)
        for name, details in found.items()
        if details["type"] == "file"
    ]


def make_directory(path: Path) -> None:
    """Makes a directory and those above it; cloud storage needs none."""
    if not is_remote(path):
        path.mkdir(parents=True, exist_ok=True)


def remove_directory(path: Any) -> None:
    """Removes a directory and all that it holds."""
    if is_remote(path):
        path.fs.rm(path.path, recursive=True)
    else:
        shutil.rmtree(path)


def upload(local: Path, path: Any) -> None:
    """Writes a local file to cloud storage: whole, or not at all.

    Until it is whole, the object of that name stays what it was.
    """
    path.fs.put_file(str(local), path.path)


@contextlib.contextmanager
def local_copy(path: str | Path) -> Iterator[Path]:
    """Gives a local path of a file or directory.

    That is the path itself, or a temporary copy of what lies in the cloud.

    Raises:
      FileNotFoundError: There is nothing of that name in the cloud.
      ValueError: The upload of its directory did not end.
    """
    found: Any = to_path(path)
    if not is_remote(found):
        yield found
        return
    if (found.parent / UPLOADING).exists():
        raise ValueError(
            f"{found.parent} is not whole: its upload goes on, or was "
            "interrupted."
        )
    with tempfile.TemporaryDirectory(prefix="distill-download-") as folder:
        copy = Path(folder, found.name)
        for name in found.fs.find(found.path):
            inside = name.removeprefix(found.path).strip("/")
            (copy / inside).parent.mkdir(parents=True, exist_ok=True)
            found.fs.get_file(name, str(copy / inside))
        if not copy.exists():
            raise FileNotFoundError(f"There is no {found}.")
        yield copy
