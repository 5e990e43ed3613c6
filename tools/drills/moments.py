"""When a process is killed, and how long its writes took undisturbed."""

import dataclasses
import random
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

from tools.drills.folder import leftovers, results
from tools.drills.processes import wait_for, wait_seconds

# Writes are short and matter most: they are met more often.
MOMENTS = (
    "in a write",
    "after a write",
    "in a write",
    "at the start",
    "in a write",
    "at random",
)
# Of the seconds of a write and of all: the later ones come too late.
_LAST_SHARE = 0.9
_LAST_SHARE_OF_A_WRITE = 0.5


@dataclasses.dataclass
class Timing:
    """How an undisturbed stage went.

    Attributes:
      seconds: What it took.
      first_write: Seconds to its first write.
      writes: Seconds of every write, in order.
      num_files: Files it left.
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
    """When to kill.

    Attributes:
      kind: One of `MOMENTS`.
      number: The write in or after which it is, from 1.
      seconds: To wait, from the start or from that write's.
    """

    kind: str
    number: int
    seconds: float

    def __str__(self) -> str:
        """Returns it in words."""
        if "write" in self.kind:
            return f"{self.kind} (no. {self.number})"
        return f"{self.kind} ({self.seconds:.2f} s)"

    def wait(self, process: BaseProcess, directory: Path) -> bool:
        """Waits for the moment; False if the process ends before.

        Args:
          process: The process to be killed.
          directory: Where its stage writes.
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
    draws: random.Random, timing: Timing, kind: str, most_writes: int | None
) -> Moment:
    """Draws a moment.

    Args:
      draws: The drills' random numbers.
      timing: How the stage went undisturbed.
      kind: One of `MOMENTS`.
      most_writes: The last write that may be chosen; None: the last of all.
    """
    share = _LAST_SHARE * draws.random()
    if kind == "at the start":
        return Moment(kind, 0, share * timing.first_write)
    if kind == "at random" or not timing.writes:
        return Moment("at random", 0, share * timing.seconds)
    if kind == "in a write":
        number = 1 + draws.randrange(len(timing.writes[:most_writes]))
        seconds = _LAST_SHARE_OF_A_WRITE * timing.writes[number - 1]
        return Moment(kind, number, share * seconds)
    number = 1 + draws.randrange(len(range(timing.num_files)[:most_writes]))
    pause = (timing.seconds - timing.first_write) / timing.num_files
    return Moment(kind, number, share * pause)
