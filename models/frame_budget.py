"""Frame budgets: how many frames of a video a network sees, and which."""

import dataclasses

from distill.models.argument_checks import check_at_least, check_choice

EVERY_N = "every_n"
SELECTIONS = (
    EVERY_N,
    "uniform_k",
    "random_k",
    "first_k",
    "middle_k",
    "last_k",
    "first_middle_last_k",
    "nested_k",
)
_WITH_OFFSET = (EVERY_N, "uniform_k")


@dataclasses.dataclass(frozen=True)
class FrameBudget:
    """Which frames of a video a network sees.

    Attributes:
      selection: The rule, see `distill.models.frame_selection`.
      every_n: Of `every_n` alone: the step n; 1 keeps every frame.
      num_frames: Of the others alone: their number k; a video of fewer frames
        gives all it has.
      random_offset: Of `every_n` and `uniform_k`: whether the frames are
        shifted by a random offset in training, drawn for each video anew.
      fewest_frames: Not of `every_n`: in training the number of frames is
        drawn for each video from here to `num_frames`; None: always k.
    """

    selection: str = EVERY_N
    every_n: int = 1
    num_frames: int | None = None
    random_offset: bool = False
    fewest_frames: int | None = None

    def __post_init__(self):
        """Checks the fields, alone and against each other."""
        check_choice("frame_selection", self.selection, SELECTIONS)
        if self.selection == EVERY_N:
            check_at_least(1, every_n=self.every_n)
            if self.num_frames is not None or self.fewest_frames is not None:
                raise ValueError(
                    "frame_selection every_n keeps every n-th frame whatever "
                    "their number: frame_budget and fewest_frames belong to "
                    f"the others, {', '.join(SELECTIONS[1:])}."
                )
        else:
            self._check_number()
        if self.random_offset and self.selection not in _WITH_OFFSET:
            raise ValueError(
                f"random_offset is for {' and '.join(_WITH_OFFSET)}, not for "
                f"frame_selection {self.selection}."
            )

    def _check_number(self) -> None:
        if self.num_frames is None:
            raise ValueError(
                f"frame_selection {self.selection} needs frame_budget, its "
                "number of frames."
            )
        check_at_least(1, frame_budget=self.num_frames)
        if self.every_n != 1:
            raise ValueError(
                f"every_n={self.every_n} belongs to frame_selection every_n, "
                f"not to {self.selection}."
            )
        if self.fewest_frames is not None:
            check_at_least(1, fewest_frames=self.fewest_frames)
            if self.fewest_frames > self.num_frames:
                raise ValueError(
                    f"fewest_frames must be at most the frame_budget "
                    f"{self.num_frames}, got {self.fewest_frames}."
                )

    @property
    def keeps_all(self) -> bool:
        """Whether every frame is seen."""
        return self.selection == EVERY_N and self.every_n == 1

    @property
    def is_fixed(self) -> bool:
        """Whether a video's frames are the same whenever it is seen."""
        return self.selection != "random_k" and self == self.at_evaluation()

    @property
    def name(self) -> str:
        """What it keeps at evaluation, such as `every_n=10`."""
        number = self.every_n if self.num_frames is None else self.num_frames
        return f"{self.selection}={number}"

    def width(self, max_frames: int) -> int:
        """Returns the most frames it leaves of `max_frames` padded ones.

        Raises:
          ValueError: It wants more frames than there are.
        """
        if self.selection == EVERY_N:
            return -(-max_frames // self.every_n)
        if self.num_frames > max_frames:
            raise ValueError(
                f"frame_budget must be at most max_frames {max_frames}, got "
                f"{self.num_frames}."
            )
        return self.num_frames

    def num_draws(self, max_frames: int) -> int:
        """Returns how many random numbers a video's selection takes."""
        if self.selection == "random_k":
            return max_frames + (self.fewest_frames is not None)
        return self.random_offset + (self.fewest_frames is not None)

    def at_evaluation(self) -> "FrameBudget":
        """Returns the same without what is random in training alone."""
        return dataclasses.replace(
            self, random_offset=False, fewest_frames=None
        )

    @classmethod
    def every(cls, every_n: int) -> "FrameBudget":
        """Returns the budget of every n-th frame."""
        return cls(every_n=every_n)


ALL_FRAMES = FrameBudget()
