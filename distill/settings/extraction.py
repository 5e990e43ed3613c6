"""Settings of extraction: the networks that turn frames and sound to numbers."""

import dataclasses

from distill.models.options import check_options, option


@dataclasses.dataclass(frozen=True)
class ExtractionSettings:
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
