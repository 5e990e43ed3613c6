"""Settings of packing arrays, or extracted features, into records."""

import dataclasses

from distill.models.options import check_options, option
from distill.models.quantisation import QUANTISATION_MAX, QUANTISATION_MIN
from distill.settings.schema import check_quantisation_range, record_form_option


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecordSettings:
    """Settings of the records that a data set is written in."""

    num_classes: int | None = option(
        None,
        "Number of classes. Default: one more than the greatest label.",
        minimum=1,
    )
    float_frames: bool = option(
        False, "Keep floats as float32 instead of 8 bits: four times the size."
    )
    quantisation_min: float = option(
        QUANTISATION_MIN, "Least number; smaller ones are clipped."
    )
    quantisation_max: float = option(
        QUANTISATION_MAX, "Greatest number; greater ones are clipped."
    )
    record_form: str = record_form_option()
    num_shards: int = option(4, "Files of each split.", minimum=1)
    validate_fraction: float = option(
        0.0,
        "Share of the videos, chosen by a hash of the id, that goes to the "
        "split `validate`; the others go to `train`.",
        minimum=0,
        below=1,
    )

    def __post_init__(self):
        """Checks the fields."""
        check_options(self)
        check_quantisation_range(self.quantisation_min, self.quantisation_max)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PackSettings(RecordSettings):
    """Settings of packing arrays into records."""

    feature_names: tuple[str, ...] = option(
        (),
        "Arrays of a video to take, in this order, comma-separated. Default: "
        "all, by name.",
    )
    max_frames: int | None = option(
        None,
        "Frames that training reads of a video; longer videos are written "
        "whole. Default: those of the longest video.",
        minimum=1,
    )
    quantisation_range: str = option(
        "fixed",
        "Range of the 8-bit values: fixed: from quantisation_min to "
        "quantisation_max; auto: from the least to the greatest number found.",
        choices=("fixed", "auto"),
    )

    def __post_init__(self):
        """Checks the fields."""
        super().__post_init__()
        if len(set(self.feature_names)) != len(self.feature_names):
            raise ValueError(
                f"feature_names holds a name twice: {list(self.feature_names)}."
            )
        if self.float_frames and self.quantisation_range == "auto":
            raise ValueError(
                "quantisation_range=auto is for 8-bit values; float_frames "
                "keeps floats as they are."
            )
