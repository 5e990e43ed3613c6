"""Makes features of a video's frames and of its sound."""

import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np

from distill.extraction.audio_networks import load_audio_network
from distill.extraction.image_networks import load_image_network
from distill.extraction.log_mel import log_mel_patches, sound_seconds
from distill.extraction.pca import Pca, load_pca
from distill.settings.extraction import ExtractorSettings

_INPUTS_AT_ONCE = 32


class ReadableVideo(Protocol):
    """What is read of a video: `OpenVideo`, for one."""

    def frames(
        self, numbers: Sequence[int], size: tuple[int, int] | None
    ) -> Iterator[np.ndarray]:
        """Yields uint8 `[height, width, 3]` for each number."""

    def sound(self, seconds: float) -> Iterator[np.ndarray]:
        """Yields float32 blocks, mono, at 16 kHz."""


@dataclasses.dataclass(frozen=True)
class _Stream:
    """A feature: its network and what follows it."""

    name: str
    network: Any
    pca: Pca | None
    at_once: int = _INPUTS_AT_ONCE

    def __post_init__(self):
        """Checks that the widths fit."""
        width = self.network.num_features
        if self.pca is not None and self.pca.num_inputs != width:
            raise ValueError(
                f"The PCA of {self.name!r} reads {self.pca.num_inputs} "
                f"numbers, its network gives {width}."
            )

    @property
    def size(self) -> int:
        """Width of the feature."""
        return (self.network if self.pca is None else self.pca).num_features

    def macs(self) -> int | None:
        """Returns the multiply-adds of one input, if they are known."""
        own = self.network.macs
        return own if self.pca is None or own is None else own + self.pca.macs

    def identity(self) -> list[str]:
        """Returns the names and digests of network and PCA."""
        parts = [self.network, *([] if self.pca is None else [self.pca])]
        return [part.identity for part in parts]

    def features(self, inputs: Iterator[np.ndarray]) -> np.ndarray:
        """Returns float32 `[inputs, size]`."""
        rows = []
        while some := list(itertools.islice(inputs, self.at_once)):
            found = self.network(np.stack(some))
            rows.append(found if self.pca is None else self.pca(found))
        return np.concatenate(rows)


class VideoExtractor:
    """The networks of some settings; threads may share one.

    Args:
      settings: The networks.
      frames_per_second: Frames taken of a second of video.

    Attributes:
      frames_per_second: The same.

    Raises:
      ValueError: A file is missing or damaged, or does not fit the others.
    """

    def __init__(self, settings: ExtractorSettings, frames_per_second: float):
        self.frames_per_second = frames_per_second
        network = load_image_network(
            settings.image_network,
            settings.image_weights,
            scale=settings.image_scale,
            size=settings.image_size,
            batch_size=settings.image_batch_size,
        )
        pca = settings.image_pca and load_pca(settings.image_pca)
        # A network of any size scales frames itself, each of its own size.
        self._size = None if network.any_size else network.input_size
        at_once = 1 if network.any_size else _INPUTS_AT_ONCE
        self._images = _Stream(
            settings.image_feature, network, pca or None, at_once
        )
        self._sound = None
        if settings.audio_network is not None:
            pca = settings.audio_pca and load_pca(settings.audio_pca)
            self._sound = _Stream(
                settings.audio_feature,
                load_audio_network(settings.audio_network),
                pca or None,
            )

    @property
    def _streams(self) -> list[_Stream]:
        return [s for s in (self._images, self._sound) if s is not None]

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Name of each feature."""
        return tuple(stream.name for stream in self._streams)

    @property
    def feature_sizes(self) -> tuple[int, ...]:
        """Width of each feature."""
        return tuple(stream.size for stream in self._streams)

    @property
    def macs(self) -> int | None:
        """Multiply-adds of a frame; None if a network's are not known."""
        total = 0
        for stream in self._streams:
            if (count := stream.macs()) is None:
                return None
            total += count
        return total

    def identity(self) -> dict[str, Any]:
        """Returns what features depend on, as JSON values."""
        held = {stream.name: stream.identity() for stream in self._streams}
        return held | {"frames_per_second": self.frames_per_second}

    def features(
        self, video: ReadableVideo, numbers: Sequence[int]
    ) -> dict[str, np.ndarray]:
        """Returns the features of some frames of a video.

        Those of a frame do not depend on which others are taken.

        Args:
          video: The video.
          numbers: Of the frames that the rate takes, rising.

        Returns:
          By name, float32 `[numbers, size]`.

        Raises:
          BadVideoError: The video cannot be decoded.
        """
        images = video.frames(numbers, self._size)
        found = {self._images.name: self._images.features(images)}
        if self._sound is not None:
            starts = [number / self.frames_per_second for number in numbers]
            blocks = video.sound(sound_seconds(starts))
            patches = log_mel_patches(blocks, starts)
            found[self._sound.name] = self._sound.features(patches)
        return found
