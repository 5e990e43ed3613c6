"""Calls of the C library that fail or kill: a library that is preloaded."""

import ctypes
import dataclasses
import errno
import functools
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from tools.drills.processes import Processes

_SOURCE = Path(__file__).with_name("failing_calls.c")
_COMPILERS = ("cc", "gcc", "clang")
# As in the source.
DEEDS = ("nothing", "fail", "cut", "kill before", "kill after")
_TOKEN = re.compile(r"\.([^/]+)\.[0-9a-f]{12}\.(tmp|old)(?=/|$)")


@functools.cache
def build_library() -> Path:
    """Compiles the library; returns its path.

    Raises:
      ValueError: There is no C compiler, or it fails.
    """
    compiler = next(filter(None, map(shutil.which, _COMPILERS)), None)
    if compiler is None:
        raise ValueError(
            f"There is no C compiler ({', '.join(_COMPILERS)}), which builds "
            "the library of failing calls."
        )
    library = Path(_folder().name, "failing_calls.so")
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library)]
    done = subprocess.run(
        [*command, str(_SOURCE), "-ldl"], capture_output=True, text=True
    )
    if done.returncode:
        raise ValueError(f"{compiler} cannot build {_SOURCE}: {done.stderr}")
    return library


@functools.cache
def _folder() -> tempfile.TemporaryDirectory:
    """Returns a folder that is removed at the end of the process."""
    return tempfile.TemporaryDirectory(prefix="distill-calls-")


@functools.cache
def warm_processes() -> Processes:
    """Returns the processes of all attacks; their calls can be spoiled.

    Where there is no compiler they run without the library.
    """
    try:
        return Processes(library=build_library())
    except ValueError:
        return Processes()


@dataclasses.dataclass(frozen=True)
class Spoiled:
    """A call on a file below a directory that is spoiled in a process.

    Attributes:
      directory: Only calls on files below it are counted.
      log: File that names the spoiled calls; all calls, if none is spoiled.
      kind: What the call does, such as `rename`; empty for none.
      number: Its number among those of its kind, from 1.
      deed: One of `DEEDS`.
      code: Number of the error with which it fails.
      lasts: All later calls of this kind fail as well.
      library: The library.
    """

    directory: Path
    log: Path
    kind: str = ""
    number: int = 0
    deed: str = DEEDS[0]
    code: int = 0
    lasts: bool = False
    library: Path = dataclasses.field(default_factory=build_library)

    def arm(self) -> None:
        """Lets the calls of this process be counted, logged and spoiled."""
        ctypes.CDLL(str(self.library)).arm(
            os.fsencode(self.directory.resolve()),
            self.kind.encode(),
            self.number,
            DEEDS.index(self.deed),
            self.code,
            int(self.lasts),
            os.fsencode(self.log),
        )

    def calls(self) -> list[tuple[str, str]]:
        """Returns the kind and the file of every logged call, in order.

        A temporary file has the name of the file that it becomes.
        """
        if not self.log.exists():
            return []
        start = f"{self.directory.resolve()}/"
        calls = []
        for line in self.log.read_text(errors="replace").splitlines():
            kind, _, path = line.partition(" ")
            name = path.removesuffix(" (deleted)").removeprefix(start)
            calls.append((kind, _TOKEN.sub(r"\1", name)))
        return calls

    def __str__(self) -> str:
        """Describes what is done and where."""
        does = errno.errorcode[self.code] if self.deed == "fail" else self.deed
        since = "from" if self.lasts else "at"
        return f"{does} {since} {self.kind} no. {self.number}"
