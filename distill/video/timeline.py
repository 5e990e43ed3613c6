"""The frames of a video that are taken, by their times alone.

A video has frames at any times: the rate may vary, and a stream holds them in
the order of decoding. Frame i that is taken is the one that is shown i / rate
seconds after the first: the last whose time is not later. So the same frames
are taken whether all of them or a few are decoded.
"""

import dataclasses
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

# A rate such as 0.1 is taken as the fraction that was meant.
_MOST_DENOMINATOR = 1_000_000


@dataclasses.dataclass(frozen=True)
class Timeline:
    """The times of a stream's frames, in units of its time base.

    Attributes:
      times: int64 `[frames]`, rising.
      keys: int64 `[key frames]`, rising: decoding can begin at these times.
      time_base: Seconds of a unit.
    """

    times: np.ndarray
    keys: np.ndarray
    time_base: Fraction

    @classmethod
    def of_packets(
        cls, times: Sequence[int], keys: Sequence[int], time_base: Fraction
    ) -> "Timeline":
        """Returns the timeline of a stream's packets, which may be reordered.

        Raises:
          ValueError: There is no packet.
        """
        if not len(times):
            raise ValueError("it has no frame")
        every = np.unique(np.asarray(times, np.int64))
        return cls(every, np.unique(np.asarray(keys, np.int64)), time_base)

    @property
    def seconds(self) -> float:
        """Seconds from the first frame to the last."""
        return float(
            (int(self.times[-1]) - int(self.times[0])) * self.time_base
        )

    def count(self, frames_per_second: float) -> int:
        """Returns how many frames are taken at a rate: 1 or more."""
        return int(self._length / self._step(frames_per_second)) + 1

    def times_of(
        self, numbers: Sequence[int], frames_per_second: float
    ) -> list[int]:
        """Returns the times of the frames that are taken.

        Args:
          numbers: Which of those that are taken at the rate, from 0.
          frames_per_second: The rate.

        Raises:
          IndexError: A number is not below `count`.
        """
        step = self._step(frames_per_second)
        start, count = int(self.times[0]), self.count(frames_per_second)
        if numbers and not 0 <= min(numbers) <= max(numbers) < count:
            raise IndexError(f"There are {count} frames, not {max(numbers)}.")
        shown = [start + int(number * step) for number in numbers]
        places = np.searchsorted(self.times, shown, side="right") - 1
        return self.times[places].tolist()

    def key_before(self, time: int) -> int | None:
        """Returns the time of the last key frame that is not later."""
        place = np.searchsorted(self.keys, time, side="right") - 1
        return int(self.keys[place]) if place >= 0 else None

    @property
    def _length(self) -> int:
        return int(self.times[-1]) - int(self.times[0])

    def _step(self, frames_per_second: float) -> Fraction:
        """Returns the units from one frame that is taken to the next."""
        rate = Fraction(frames_per_second).limit_denominator(_MOST_DENOMINATOR)
        return 1 / (rate * self.time_base)
