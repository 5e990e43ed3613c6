"""Moments at which a process is killed, and the times they are drawn from."""

import dataclasses
import random
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

from tools.drills.folder import leftovers, results
from tools.drills.processes import wait_for, wait_seconds

# Writes are short and matter most, so they are drawn more often.
MOMENTS = (
    "in a write",
    "after a write",
    "in a write",
    "at the start",
    "in a write",
    "at random",
)
# Latest moments, as fractions of the stage and of a write: a later kill tends
# to miss.
_LAST_OF_STAGE = 0.9
_LAST_OF_WRITE = 0.5


@dataclasses.dataclass
class Timing:
    """Times of an undisturbed stage.

    Attributes:
      seconds: Duration of the stage.
      first_write: Seconds until its first write.
      writes: Seconds of every write, in order.
      num_files: Number of its finished files.
    """

    seconds: float
    first_write: float
    writes: list[float]
    num_files: int


def measure(process: BaseProcess, directory: Path) -> Timing:
    """Watches the writes of a process until it ends."""
    start = time.monotonic()
    begun: dict[str, float] = {}
    ended: dict[str, float] = {}

    def look() -> bool:
        now, there = time.monotonic(), leftovers(directory)
        for name in there:
            begun.setdefault(name, now)
        for name in begun.keys() - ended.keys() - set(there):
            ended[name] = now
        return False

    wait_for(process, look)
    look()
    seconds = time.monotonic() - start
    first = min(begun.values(), default=start + seconds) - start
    writes = [ended.get(name, at) - at for name, at in begun.items()]
    return Timing(seconds, first, writes, len(results(directory)))


@dataclasses.dataclass(frozen=True)
class Moment:
    """When to kill a process.

    Attributes:
      kind: One of `MOMENTS`.
      number: Number of the write in or after which to kill, from 1.
      seconds: Seconds to wait from the start or from that write.
    """

    kind: str
    number: int
    seconds: float

    def __str__(self) -> str:
        """Describes the moment."""
        if "write" in self.kind:
            return f"{self.kind} (no. {self.number})"
        return f"{self.kind} ({self.seconds:.2f} s)"

    def wait(self, process: BaseProcess, directory: Path) -> bool:
        """Waits for the moment; returns False if the process ends before.

        Args:
          process: The process to kill.
          directory: Directory of its stage.
        """
        if self.kind == "in a write":
            seen = set(leftovers(directory))
            known = len(seen)

            def begun() -> bool:
                seen.update(leftovers(directory))
                return len(seen) >= known + self.number

            if not wait_for(process, begun):
                return False
        elif self.kind == "after a write":
            before = len(results(directory))

            def ended() -> bool:
                return len(results(directory)) >= before + self.number

            if not wait_for(process, ended):
                return False
        return wait_seconds(process, self.seconds)


def draw_moment(
    rng: random.Random, timing: Timing, kind: str, last_write: int | None
) -> Moment:
    """Draws a moment.

    Args:
      rng: Random numbers of the drills.
      timing: Times of the undisturbed stage.
      kind: One of `MOMENTS`.
      last_write: Number of the last write to choose from; None for all.
    """
    fraction = _LAST_OF_STAGE * rng.random()
    if kind == "at the start":
        return Moment(kind, 0, fraction * timing.first_write)
    if kind == "at random" or not timing.writes:
        return Moment("at random", 0, fraction * timing.seconds)
    if kind == "in a write":
        number = 1 + rng.randrange(len(timing.writes[:last_write]))
        seconds = _LAST_OF_WRITE * timing.writes[number - 1]
        return Moment(kind, number, fraction * seconds)
    number = 1 + rng.randrange(len(range(timing.num_files)[:last_write]))
    pause = (timing.seconds - timing.first_write) / timing.num_files
    return Moment(kind, number, fraction * pause)
