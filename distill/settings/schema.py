"""Layout of a data set's records: keys, feature widths, classes."""

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

from distill.models.argument_checks import check_at_least
from distill.models.options import check_options, option
from distill.models.quantisation import QUANTISATION_MAX, QUANTISATION_MIN

SEGMENT_FRAMES = 5

RECORD_FORMS = ("frames", "packed")
_YT8M_2018 = {
    "feature_names": ("rgb", "audio"),
    "feature_sizes": (1024, 128),
    "id_key": "id",
    "labels_key": "labels",
    "num_classes": 3862,
    "max_frames": 300,
}
FRAME_LEVEL = {
    "yt8m_2018": _YT8M_2018,
    "yt8m_2017": _YT8M_2018 | {"id_key": "video_id", "num_classes": 4716},
    "audioset": {
        "feature_names": ("audio_embedding",),
        "feature_sizes": (128,),
        "id_key": "video_id",
        "labels_key": "labels",
        "num_classes": 527,
        "max_frames": 10,
    },
    # The keys of MediaPipe's feature extraction for YouTube-8M.
    "mediapipe": _YT8M_2018
    | {
        "feature_names": ("RGB/feature/floats", "AUDIO/feature/floats"),
        "id_key": "clip/data_path",
        "labels_key": "clip/label/index",
        "float_frames": True,
    },
}

VIDEO_LEVEL = {
    name: FRAME_LEVEL[name] | {"feature_names": ("mean_rgb", "mean_audio")}
    for name in ("yt8m_2018", "yt8m_2017")
}


@dataclasses.dataclass(frozen=True)
class DataSchema:
    """Layout of a data set's records."""

    frame_features: bool = option(
        help_text="Frame-level records; false: video-level ones. That is, "
        "SequenceExamples with a list of 8-bit frames a feature, or Examples "
        "with a list of floats a feature."
    )
    feature_names: tuple[str, ...] = option(
        help_text="Keys of the features in their order, comma-separated."
    )
    feature_sizes: tuple[int, ...] = option(
        help_text="Width of each feature, comma-separated."
    )
    id_key: str = option(help_text="Key of the video's id.")
    labels_key: str = option(help_text="Key of the class indexes.")
    num_classes: int = option(help_text="Number of classes.", minimum=1)
    max_frames: int = option(
        help_text="Frames kept of a video; of segments 5.", minimum=1
    )
    segment_labels: bool = option(
        False,
        "Train and score on the rated segments of five frames (YouTube-8M "
        "Segments, 2019); predict all segments. Networks of whole videos score "
        "and predict them too.",
    )
    segment_tails: bool = option(
        True,
        "Predict the end of a video too where it has fewer frames. With "
        "--segment_labels, as the starter code does.",
    )
    float_frames: bool = option(
        False,
        "A frame is a list of floats, not a string of 8-bit values.",
    )
    float_features: tuple[str, ...] = option(
        (),
        "Features whose frames are lists of floats. The others are strings of "
        "8-bit values.",
    )
    quantisation_min: float = option(
        QUANTISATION_MIN, "Number that the least 8-bit value stands for."
    )
    quantisation_max: float = option(
        QUANTISATION_MAX, "Number that the greatest 8-bit value stands for."
    )

    def __post_init__(self):
        """Checks the fields against one another."""
        if not self.feature_names:
            raise ValueError("feature_names must name one feature or more.")
        if len(self.feature_names) != len(self.feature_sizes):
            raise ValueError(
                "feature_names and feature_sizes must be equally many, got "
                f"{list(self.feature_names)} and {list(self.feature_sizes)}."
            )
        if len(set(self.feature_names)) != len(self.feature_names):
            raise ValueError(
                f"feature_names holds a name twice: {list(self.feature_names)}."
            )
        check_options(self)
        sizes = zip(self.feature_names, self.feature_sizes, strict=True)
        check_at_least(1, **dict(sizes))
        check_quantisation_range(*self.quantisation_range)
        self._check_floats()
        if self.segment_labels and not self.frame_features:
            raise ValueError(
                "segment_labels needs frame-level records (frame_features)."
            )
        if self.segment_labels and self.max_frames != SEGMENT_FRAMES:
            raise ValueError(
                f"max_frames must be {SEGMENT_FRAMES}, a segment's frames, "
                f"with segment_labels; got {self.max_frames}."
            )

    def _check_floats(self) -> None:
        for name in ("float_frames", "float_features"):
            if getattr(self, name) and not self.frame_features:
                raise ValueError(
                    f"{name} is for frame-level records (frame_features): a "
                    "video-level record always holds floats."
                )
        for name in self.float_features:
            if name not in self.feature_names:
                raise ValueError(
                    f"float_features names {name!r}, which is not among "
                    f"feature_names, {list(self.feature_names)}."
                )
        if self.float_frames and self.float_features:
            raise ValueError(
                "float_frames says that all features are floats: give it, or "
                "float_features, not both."
            )

    @property
    def num_features(self) -> int:
        """The width of all features concatenated."""
        return sum(self.feature_sizes)

    @property
    def quantisation_range(self) -> tuple[float, float]:
        """The numbers that the least and the greatest 8-bit value stand for."""
        return self.quantisation_min, self.quantisation_max

    @property
    def frame_type(self) -> str:
        """The type of a frame's values as they are read.

        Bytes beside floats are read as the numbers that they stand for.
        """
        any_floats = self.float_frames or self.float_features
        return "float32" if any_floats else "uint8"

    def reads_frames_of(self, data: "DataSchema") -> bool:
        """Returns whether a network of this layout reads another's frames.

        Floats may stand for the bytes that it was trained on, not bytes for
        floats, whose range may be any.
        """
        return data.frame_type in (self.frame_type, "float32")

    def holds_floats(self, feature: str) -> bool:
        """Returns whether records hold a feature's frames as floats."""
        return self.float_frames or feature in self.float_features

    def of_segments(self) -> "DataSchema":
        """Returns the layout of the same videos' segments of five frames.

        Raises:
          ValueError: The records are video-level ones.
        """
        return dataclasses.replace(
            self, segment_labels=True, max_frames=SEGMENT_FRAMES
        )

    def check_rewritable(self, added_keys: Iterable[str]) -> None:
        """Refuses all but whole frame-level videos without the added keys."""
        if not self.frame_features or self.segment_labels:
            raise ValueError(
                "Only whole frame-level videos can be rewritten: "
                "frame_features must be true and segment_labels false."
            )
        for name in ("id_key", "labels_key"):
            key = getattr(self, name)
            if key in added_keys:
                raise ValueError(
                    f"{name} {key!r} is a key under which rewritten records "
                    "name their source."
                )


def record_form_option(default: str | None = RECORD_FORMS[0]) -> Any:
    """Returns the field that says in which form records are written."""
    return option(
        default,
        "Form of the records: frames: a list of frames a feature, which other "
        "programs read; packed: one string a feature, which is read faster.",
        choices=RECORD_FORMS,
    )


def describe_record_settings(settings: Any) -> dict[str, Any]:
    """Returns the fields of settings that have a `record_form`, for JSON.

    Records of the default form are described without it, as they were before
    there was another: data sets of that time stay known.
    """
    fields = dataclasses.asdict(settings)
    if fields["record_form"] == RECORD_FORMS[0]:
        del fields["record_form"]
    return fields


def check_quantisation_range(least: float, most: float) -> None:
    """Raises a ValueError unless a range has a finite width above 0."""
    if not 0 < most - least < math.inf:
        raise ValueError(
            "quantisation_max must be above quantisation_min, both finite, got "
            f"{most} and {least}."
        )


def make_schema(
    dataset: str, *, frame_features: bool = True, **overrides: Any
) -> DataSchema:
    """Returns a preset's schema with some fields replaced.

    Args:
      dataset: A preset: `yt8m_2018`, `yt8m_2017`, `audioset` or `mediapipe`.
      frame_features: Frame level or video level.
      **overrides: Fields of `DataSchema`; None keeps the preset's.

    Raises:
      ValueError: The preset is unknown or the fields do not fit.
    """
    presets = FRAME_LEVEL if frame_features else VIDEO_LEVEL
    if dataset not in presets:
        level = "frame" if frame_features else "video"
        raise ValueError(
            f"Unknown {level}-level dataset {dataset!r}. Choices: "
            f"{', '.join(sorted(presets))}."
        )
    fields: dict[str, Any] = presets[dataset] | {
        "frame_features": frame_features
    }
    if overrides.get("segment_labels"):
        fields["max_frames"] = SEGMENT_FRAMES
    for key, value in overrides.items():
        if value is not None:
            fields[key] = tuple(value) if isinstance(value, list) else value
    return DataSchema(**fields)
