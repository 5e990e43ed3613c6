"""Size and difficulty of synthetic data."""

import dataclasses

from distill.models.argument_checks import check_at_least
from distill.models.options import check_options, option
from distill.settings.schema import (
    SEGMENT_FRAMES,
    DataSchema,
    record_form_option,
)


@dataclasses.dataclass(frozen=True)
class SyntheticSettings:
    """Settings of a synthetic world and of a sample of its videos.

    Splits of one seed show different videos of the same world.
    """

    split: str = option(help_text="Name of the sample: the files' prefix.")
    num_videos: int = option(help_text="Videos in all.", minimum=1)
    num_shards: int = option(4, "Files of each split.", minimum=1)
    seed: int = option(0, "Seed of the world and of all its videos.", minimum=0)
    feature_names: tuple[str, ...] = option(
        ("rgb", "audio"), "Feature lists of every record, comma-separated."
    )
    feature_sizes: tuple[int, ...] = option(
        (1024, 128), "Width of each feature, comma-separated."
    )
    num_classes: int = option(
        3862, "Classes; their frequencies fall as 1 / rank.", minimum=2
    )
    max_frames: int = option(300, "Frames of the longest video.")
    min_frames: int = option(1, "Frames of the shortest video.", minimum=1)
    mean_labels: float = option(
        3.0, "Mean number of labels a video, 1 or more.", minimum=1
    )
    scene_frames: float = option(
        6.0, "Mean length of the scenes in which a label shows.", minimum=1
    )
    scene_strength: float = option(
        1.0, "A label's signal in its scenes, in units of the noise.", minimum=0
    )
    missing_label_rate: float = option(
        0.1, "Fraction of the labels that are left out.", minimum=0, below=1
    )
    wrong_label_rate: float = option(
        0.1,
        "Fraction of the videos that carry a wrong label.",
        minimum=0,
        below=1,
    )
    record_form: str = record_form_option()
    rated_segments: int = option(
        0,
        "Rated segments a video (--segment_labels); needs --min_frames=5.",
        minimum=0,
    )

    def __post_init__(self):
        """Checks the fields."""
        check_options(self)
        check_at_least(self.min_frames, max_frames=self.max_frames)
        if self.rated_segments:
            check_at_least(SEGMENT_FRAMES, min_frames=self.min_frames)
        DataSchema(
            frame_features=True,
            feature_names=self.feature_names,
            feature_sizes=self.feature_sizes,
            id_key="id",
            labels_key="labels",
            num_classes=self.num_classes,
            max_frames=self.max_frames,
        )
