"""Attempts: what was attacked, how, and what went wrong."""

import dataclasses
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

TITLES = ("attack", "target", "tries", "faults")


@dataclasses.dataclass(frozen=True)
class Attempt:
    """One attack.

    Attributes:
      target: What was attacked: a stage, a kind of file or a kind of client.
      deed: What was done to it, in a few words.
      problem: What went wrong; empty if all that must hold held.
    """

    target: str
    deed: str
    problem: str = ""

    def __str__(self) -> str:
        """Describes the attempt in one line."""
        return f"{self.target} | {self.deed} | {self.problem or 'held'}"


# Makes about so many attempts in a directory of its own.
Attack = Callable[[Path, int, random.Random], Iterator[Attempt]]


def summarize(attack: str, attempts: Sequence[Attempt]) -> list[list[str]]:
    """Returns the rows of a table: one for each target of an attack."""
    rows = []
    for target in dict.fromkeys(attempt.target for attempt in attempts):
        tries = [a for a in attempts if a.target == target]
        faults = sum(bool(a.problem) for a in tries)
        rows.append([attack, target, str(len(tries)), str(faults)])
    return rows
