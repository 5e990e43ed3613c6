"""Settings of fitting a PCA to frames."""

import dataclasses

from distill.models.options import check_options, option


@dataclasses.dataclass(frozen=True)
class PcaSettings:
    """Settings of fitting a PCA to frames."""

    num_components: int = option(
        help_text="Numbers that the PCA makes of a frame.", minimum=1
    )
    feature_name: str | None = option(
        None,
        "Feature whose frames are read. Default: the only one that there is.",
    )
    max_frames_read: int | None = option(
        None, "Frames to read at most, the first ones. Default: all.", minimum=1
    )

    def __post_init__(self):
        """Checks the values."""
        check_options(self)
