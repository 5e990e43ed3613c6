"""Frame budgets: the frames of a video that a network sees."""

import dataclasses
from typing import Any

from distill.models.options import check_options, option

EVERY_N = "every_n"
SEGMENT_MEANS = "segment_means"
SEGMENT_ATTENTION = "segment_attention"
SELECTIONS = (
    EVERY_N,
    "uniform_k",
    "random_k",
    "first_k",
    "middle_k",
    "last_k",
    "first_middle_last_k",
    "nested_k",
    SEGMENT_MEANS,
    SEGMENT_ATTENTION,
)
_WITH_OFFSET = (EVERY_N, "uniform_k", SEGMENT_MEANS)


@dataclasses.dataclass(frozen=True)
class FrameBudget:
    """The frames of a video that a network sees.

    The rules are those of `distill.models.frame_selection`. `segment_means`
    sees the means of k equal parts of a video; `segment_attention` too, but
    the network weighs the frames of a part (`segment_attention.py`). The other
    rules see some of its frames. `every_n` belongs to the rule of that name
    alone; `num_frames`, k, to the others, and `fewest_frames` to those but
    `segment_attention`; `random_offset` to `every_n`, `uniform_k` and
    `segment_means`.
    """

    selection: str = option(
        EVERY_N,
        f"The student's frames: {', '.join(SELECTIONS)}.",
        choices=SELECTIONS,
        flag="frame_selection",
    )
    every_n: int = option(
        1, "The student sees every n-th frame; 1: all.", minimum=1
    )
    num_frames: int | None = option(
        None,
        "Frames k that the student sees, or means of frames. A video of fewer "
        "frames keeps all.",
        minimum=1,
        flag="frame_budget",
    )
    random_offset: bool = option(
        False,
        "Shift frames, or borders of means, at random in training. The shift "
        "is drawn for each video anew, for every_n, uniform_k and "
        "segment_means.",
    )
    fewest_frames: int | None = option(
        None,
        "Train one student for every budget from here on. In training, the "
        "number of frames of every video is drawn, up to --frame_budget.",
        minimum=1,
    )

    def __post_init__(self):
        """Checks the fields, alone and against each other."""
        check_options(self)
        if self.selection == EVERY_N:
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
                f"random_offset is for {', '.join(_WITH_OFFSET)}, not for "
                f"frame_selection {self.selection}."
            )

    def _check_number(self) -> None:
        if self.num_frames is None:
            raise ValueError(
                f"frame_selection {self.selection} needs frame_budget, its "
                "number of frames."
            )
        if self.every_n != 1:
            raise ValueError(
                f"every_n={self.every_n} belongs to frame_selection every_n, "
                f"not to {self.selection}."
            )
        if self.attends and self.fewest_frames is not None:
            raise ValueError(
                "fewest_frames is not for frame_selection segment_attention: "
                "a network attends to one number of parts."
            )
        if (self.fewest_frames or 0) > self.num_frames:
            raise ValueError(
                f"fewest_frames must be at most the frame_budget "
                f"{self.num_frames}, got {self.fewest_frames}."
            )

    @property
    def keeps_all(self) -> bool:
        """Whether every frame is seen."""
        return self.selection == EVERY_N and self.every_n == 1

    @property
    def averages(self) -> bool:
        """Whether means of frames are seen, not frames."""
        return self.selection in (SEGMENT_MEANS, SEGMENT_ATTENTION)

    @property
    def attends(self) -> bool:
        """Whether the network takes all frames and weighs them itself."""
        return self.selection == SEGMENT_ATTENTION

    @property
    def is_fixed(self) -> bool:
        """Whether a video's frames are the same whenever it is seen."""
        return self.selection != "random_k" and self == self.at_evaluation()

    @property
    def name(self) -> str:
        """The frames kept at evaluation, such as `every_n=10`."""
        number = self.every_n if self.num_frames is None else self.num_frames
        return f"{self.selection}={number}"

    def width(self, max_frames: int) -> int:
        """Returns the most frames of `max_frames`, or means, to classify.

        Raises:
          ValueError: Its number of frames is above `max_frames`.
        """
        if self.num_frames is None:
            return -(-max_frames // self.every_n)
        if self.num_frames > max_frames:
            raise ValueError(
                f"frame_budget must be at most max_frames {max_frames}, got "
                f"{self.num_frames}."
            )
        return self.num_frames

    def num_inputs(self, max_frames: int) -> int:
        """Returns the most frames of `max_frames`, or means, to be given."""
        width = self.width(max_frames)
        return max_frames if self.attends else width

    def frames_needed(self, max_frames: int) -> int:
        """Returns how many of `max_frames` frames must be at hand."""
        return max_frames if self.averages else self.width(max_frames)

    def num_draws(self, max_frames: int) -> int:
        """Returns how many random numbers a video's selection takes."""
        draws = int(self.random_offset)
        if self.selection == "random_k":
            draws = max_frames
        elif self.averages:
            draws *= self.width(max_frames) - 1
        return draws + (self.fewest_frames is not None)

    def of_at_most(self, max_frames: int) -> "FrameBudget":
        """Returns the same budget for videos of so many frames or fewer.

        A budget of more frames keeps all of such a video.
        """
        if self.num_frames is None or self.num_frames <= max_frames:
            return self
        fewest = self.fewest_frames and min(self.fewest_frames, max_frames)
        return dataclasses.replace(
            self, num_frames=max_frames, fewest_frames=fewest
        )

    def at_evaluation(self) -> "FrameBudget":
        """Returns the same budget without randomness of training alone."""
        return dataclasses.replace(
            self, random_offset=False, fewest_frames=None
        )

    @classmethod
    def of(cls, **fields: Any) -> "FrameBudget":
        """Returns the budget of some fields: `uniform_k` for `num_frames`."""
        if "num_frames" in fields:
            fields.setdefault("selection", "uniform_k")
        return cls(**fields)

    @classmethod
    def every(cls, every_n: int) -> "FrameBudget":
        """Returns the budget of every n-th frame."""
        return cls(every_n=every_n)


ALL_FRAMES = FrameBudget()
