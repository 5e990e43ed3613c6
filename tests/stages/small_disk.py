"""Real file systems of a few bytes, made without privileges.

A process mounts one in its own namespaces; others reach it through /proc.
"""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

_PLACE = "/mnt"
_MOUNT = f"mount -t tmpfs -o size=%d,%s tmpfs {_PLACE} && echo ready && read _"


@contextlib.contextmanager
def small_disk(num_bytes: int, mode: str = "rw") -> Iterator[Path]:
    """Gives a directory on a disk of its own; skips the test without one.

    Args:
      num_bytes: The disk's size.
      mode: `rw`, or `ro` for one that cannot be written.
    """
    script = _MOUNT % (num_bytes, mode)
    command = ["unshare", "--user", "--map-root-user", "--mount"]
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(
            [*command, "sh", "-c", script], stdin=pipe, stdout=pipe, stderr=pipe
        )
    except FileNotFoundError:
        pytest.skip("needs the program unshare of util-linux")
    with process:
        try:
            if process.stdout.readline() != b"ready\n":
                reason = process.stderr.read().decode().strip()
                pytest.skip(f"needs user namespaces with tmpfs: {reason}")
            yield Path(f"/proc/{process.pid}/root{_PLACE}")
        finally:
            process.kill()


def fill(directory: Path, free_bytes: int) -> Path:
    """Leaves so many bytes free on a disk; returns the file that fills it."""
    ballast = directory / "ballast"
    with open(ballast, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    with open(ballast, "rb+") as file:
        file.truncate(max(0, ballast.stat().st_size - free_bytes))
    return ballast
