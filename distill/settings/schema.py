"""What the records of a data set hold: keys, feature widths, classes."""

import dataclasses

SEGMENT_FRAMES = 5

FRAME_LEVEL = {
    "yt8m_2018": {
        "feature_names": ("rgb", "audio"),
        "feature_sizes": (1024, 128),
        "id_key": "id",
        "labels_key": "labels",
        "num_classes": 3862,
        "max_frames": 300,
    },
    "yt8m_2017": {
        "feature_names": ("rgb", "audio"),
        "feature_sizes": (1024, 128),
        "id_key": "video_id",
        "labels_key": "labels",
        "num_classes": 4716,
        "max_frames": 300,
    },
    "audioset": {
        "feature_names": ("audio_embedding",),
        "feature_sizes": (128,),
        "id_key": "video_id",
        "labels_key": "labels",
        "num_classes": 527,
        "max_frames": 10,
    },
}

VIDEO_LEVEL = {
    name: FRAME_LEVEL[name] | {"feature_names": ("mean_rgb", "mean_audio")}
    for name in ("yt8m_2018", "yt8m_2017")
}


@dataclasses.dataclass(frozen=True)
class DataSchema:
    """The layout of a data set's records.

    Attributes:
      frame_features: True for SequenceExamples with one list of 8-bit frames a
        feature, False for Examples with one list of floats a feature.
      feature_names: Keys of the features, in the order they are concatenated.
      feature_sizes: Width of each feature: bytes a frame, or floats.
      id_key: Key of the video's id.
      labels_key: Key of the list of class indexes.
      num_classes: Classes; labels are from 0 to one less.
      max_frames: Frames kept of a video; later ones are left out. Of segments
        5, the frames of each.
      segment_labels: Whether an example is not a whole video but a segment of
        one whose classes people rated (YouTube-8M Segments, 2019).
    """

    frame_features: bool
    feature_names: tuple[str, ...]
    feature_sizes: tuple[int, ...]
    id_key: str
    labels_key: str
    num_classes: int
    max_frames: int
    segment_labels: bool = False

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
        sizes = {"num_classes": self.num_classes, "max_frames": self.max_frames}
        sizes |= dict(zip(self.feature_names, self.feature_sizes, strict=True))
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"{name} must be 1 or more, got {size}.")
        if self.segment_labels:
            self._check_segments()

    def _check_segments(self):
        """Checks that the examples can be segments."""
        if not self.frame_features:
            raise ValueError(
                "segment_labels needs frame-level records (frame_features)."
            )
        if self.max_frames != SEGMENT_FRAMES:
            raise ValueError(
                f"max_frames must be {SEGMENT_FRAMES}, a segment's frames, "
                f"with segment_labels; got {self.max_frames}."
            )

    @property
    def num_features(self) -> int:
        """The width of all features concatenated."""
        return sum(self.feature_sizes)


def make_schema(
    dataset: str, *, frame_features: bool = True, **overrides
) -> DataSchema:
    """Returns a preset's schema with some fields replaced.

    Args:
      dataset: A preset: `yt8m_2018`, `yt8m_2017` or `audioset`.
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
    fields = {"frame_features": frame_features} | presets[dataset]
    if overrides.get("segment_labels"):
        fields["max_frames"] = SEGMENT_FRAMES
    for key, value in overrides.items():
        if value is not None:
            fields[key] = tuple(value) if isinstance(value, list) else value
    return DataSchema(**fields)
