"""The first few of any number of things, whatever order they come in."""

import bisect
import dataclasses


@dataclasses.dataclass
class FirstExamples:
    """Keeps the smallest of what is added, sorted.

    Attributes:
      limit: How many are kept.
      kept: Those kept: tuples that begin with a place, words last.
    """

    limit: int
    kept: list[tuple] = dataclasses.field(default_factory=list)

    def wants(self, place: tuple) -> bool:
        """Returns whether something at a place would be kept."""
        return len(self.kept) < self.limit or place < self.kept[-1]

    def add(self, example: tuple) -> None:
        """Keeps an example if it is among the first."""
        if self.wants(example):
            bisect.insort(self.kept, example)
            del self.kept[self.limit :]
