"""The size and the difficulty of synthetic data."""

import dataclasses

from distill.models.argument_checks import check_at_least
from distill.settings.schema import DataSchema


@dataclasses.dataclass(frozen=True)
class SyntheticSettings:
    """A synthetic world and a sample of its videos.

    Attributes:
      split: Name of the sample: the files' prefix; other splits of one seed
        show other videos of the same world.
      num_videos: Videos in all.
      num_shards: Files.
      seed: Seed of the world and of all its videos.
      feature_names: Feature lists of every record.
      feature_sizes: Width of each.
      num_classes: Classes; their frequencies fall as 1 / rank.
      max_frames: Frames of the longest video.
      min_frames: Frames of the shortest.
      mean_labels: Mean number of labels a video, 1 or more.
      scene_frames: Mean length of a scene, 1 or more.
      scene_strength: A label's signal in its scenes, in units of the noise.
      missing_label_rate: Share of the labels that are left out.
      wrong_label_rate: Share of the videos that carry a wrong label.
    """

    split: str
    num_videos: int
    num_shards: int = 4
    seed: int = 0
    feature_names: tuple[str, ...] = ("rgb", "audio")
    feature_sizes: tuple[int, ...] = (1024, 128)
    num_classes: int = 3862
    max_frames: int = 300
    min_frames: int = 1
    mean_labels: float = 3.0
    scene_frames: float = 6.0
    scene_strength: float = 1.0
    missing_label_rate: float = 0.1
    wrong_label_rate: float = 0.1

    def __post_init__(self):
        """Checks the fields."""
        for name in (
            "num_videos",
            "num_shards",
            "min_frames",
            "mean_labels",
            "scene_frames",
        ):
            check_at_least(1, **{name: getattr(self, name)})
        check_at_least(2, num_classes=self.num_classes)
        check_at_least(self.min_frames, max_frames=self.max_frames)
        for name in ("seed", "scene_strength"):
            check_at_least(0, **{name: getattr(self, name)})
        for name in ("missing_label_rate", "wrong_label_rate"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(
                    f"{name} must be from 0 to below 1, got "
                    f"{getattr(self, name)}."
                )
        DataSchema(
            frame_features=True,
            feature_names=self.feature_names,
            feature_sizes=self.feature_sizes,
            id_key="id",
            labels_key="labels",
            num_classes=self.num_classes,
            max_frames=self.max_frames,
        )
