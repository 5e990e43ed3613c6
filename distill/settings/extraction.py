"""Settings of extraction: the networks that read frames and sound."""

import dataclasses

from distill.models.options import check_options, option
from distill.settings.pack import RecordSettings


@dataclasses.dataclass(frozen=True)
class ExtractorSettings:
    """The networks that make features of a video's frames and sound."""

    image_network: str = option(
        "keras:InceptionV3",
        "Network of the frames: keras:NAME (of keras.applications) or "
        "keras:FILE, onnx:FILE, saved_model:DIR, or yt8m:DIR, which holds "
        "YouTube-8M's own.",
    )
    image_weights: str = option(
        "imagenet", "Weights of keras:NAME: imagenet, or a file."
    )
    image_pca: str | None = option(
        None, "PCA of the frames' features: a directory or file of fit_pca."
    )
    image_feature: str = option("rgb", "Name of the frames' feature.")
    audio_network: str | None = option(
        None,
        "Network of the sound: log_mel, onnx:FILE, saved_model:DIR or "
        "keras:FILE. Default: the sound is not read.",
    )
    audio_pca: str | None = option(
        None, "PCA of the sound's features: a directory or file of fit_pca."
    )
    audio_feature: str = option("audio", "Name of the sound's feature.")

    def __post_init__(self):
        """Checks the values."""
        check_options(self)
        if self.audio_pca is not None and self.audio_network is None:
            raise ValueError("audio_pca needs audio_network.")
        if self.image_feature == self.audio_feature:
            raise ValueError(
                "image_feature and audio_feature must differ, got "
                f"{self.image_feature!r} twice."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExtractSettings(RecordSettings):
    """Settings of writing videos' features as records."""

    max_frames: int = option(
        300, "Most frames taken of a video: the first.", minimum=1
    )
    on_bad_video: str = option(
        "stop",
        "At a video that cannot be read: stop, or skip it and list it in "
        "bad_videos.csv.",
        choices=("stop", "skip"),
    )
    num_processes: int | None = option(
        None,
        "Videos that are decoded at once, each in a process. Default: one for "
        "each processor.",
        minimum=1,
    )
