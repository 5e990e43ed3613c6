"""The cost of a frame before it is classified."""

import dataclasses
from typing import Any

from distill.models.options import check_options, option


@dataclasses.dataclass(frozen=True)
class FrameCost:
    """What it costs to decode a frame and to extract its features."""

    frame_macs: int | None = option(
        None,
        "MACs of extracting a frame's features. `distill extract` prints them; "
        "for each frame needed they are added to the costs.",
        minimum=0,
    )
    frame_milliseconds: float | None = option(
        None,
        "Milliseconds of decoding and extracting a frame. For each frame "
        "needed they are added to the costs.",
        minimum=0,
    )

    def __post_init__(self):
        """Checks the values."""
        check_options(self)

    def given(self) -> dict[str, Any]:
        """Returns the fields that are not None, by name."""
        fields = dataclasses.asdict(self)
        return {
            name: value for name, value in fields.items() if value is not None
        }
