"""Learnable synthetic videos in the form of YouTube-8M's frame-level records.

A video has a topic, which sets its background and which labels are likely.
Each of its labels shows in one or more scenes of a few consecutive frames, in
every feature at once; most frames show background alone. Some labels are
missing from the record and some records carry a wrong one. Few frames miss
scenes, so they cost accuracy; a teacher that sees all of them knows better
than the noisy labels what a video holds.
"""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from distill.datasets.shards import (
    Rating,
    add_ratings,
    serialize_record,
    to_sequence_example,
    write_shards,
)
from distill.models.quantisation import QUANTISATION_MAX, QUANTISATION_MIN
from distill.settings.schema import (
    SEGMENT_FRAMES,
    describe_record_settings,
)
from distill.settings.synthetic import SyntheticSettings
from distill.system.storage import to_path


class Scene(NamedTuple):
    """The frames from `start` to before `end`, in which a label shows."""

    label: int
    start: int
    end: int


class SyntheticVideo(NamedTuple):
    """A video as it is drawn.

    Attributes:
      frames: uint8 `[frames, features]`.
      labels: The labels of its record, ascending.
      shown: The labels it truly shows, ascending.
      scenes: Where they show.
    """

    frames: np.ndarray
    labels: np.ndarray
    shown: np.ndarray
    scenes: list[Scene]


class SyntheticWorld:
    """Classes, topics and their looks, shared by all videos of one seed."""

    def __init__(self, settings: SyntheticSettings) -> None:
        self.settings = settings
        random = np.random.default_rng([settings.seed, 0])
        width = sum(settings.feature_sizes)
        classes = settings.num_classes
        num_topics = max(2, round(classes**0.5))
        # Half of a class's look is its own, half that of a related class.
        own = random.standard_normal((classes, width), np.float32)
        akin = own[random.integers(0, classes, classes)]
        self.looks = np.float32(0.8) * own + np.float32(0.6) * akin
        self.backgrounds = random.standard_normal(
            (num_topics, width), np.float32
        )
        self.popularity = -np.log(np.arange(1, classes + 1))
        self.affinity = 1.5 * random.standard_normal((num_topics, classes))

    def draw_video(self, random: np.random.Generator) -> "SyntheticVideo":
        """Draws one video."""
        settings = self.settings
        span = settings.max_frames - settings.min_frames
        num_frames = settings.min_frames + round(span * random.beta(2.5, 1.0))
        topic = int(random.integers(len(self.backgrounds)))
        log_weights = self.popularity + self.affinity[topic]
        count = min(
            1 + random.poisson(settings.mean_labels - 1), settings.num_classes
        )
        draws = log_weights + random.gumbel(size=settings.num_classes)
        shown = np.argsort(-draws)[:count]
        frames, scenes = self._draw_frames(random, num_frames, topic, shown)
        noisy = self._spoil_labels(random, shown)
        return SyntheticVideo(
            _quantize(frames), np.sort(noisy), np.sort(shown), scenes
        )

    def _draw_frames(
        self,
        random: np.random.Generator,
        num_frames: int,
        topic: int,
        shown: np.ndarray,
    ) -> tuple[np.ndarray, list[Scene]]:
        width = self.looks.shape[1]
        frames = random.standard_normal((num_frames, width), np.float32)
        own_look = random.standard_normal(width, np.float32)
        frames += np.float32(0.5) * (self.backgrounds[topic] + own_look)
        scenes = []
        for label in shown:
            look = self.settings.scene_strength * self.looks[label]
            for _ in range(1 + random.poisson(0.5)):
                length = 1 + random.poisson(self.settings.scene_frames - 1)
                start = random.integers(0, max(num_frames - length, 0) + 1)
                frames[start : start + length] += look.astype(np.float32)
                end = min(int(start + length), num_frames)
                scenes.append(Scene(int(label), int(start), end))
        return frames, scenes

    def _spoil_labels(
        self, random: np.random.Generator, shown: np.ndarray
    ) -> np.ndarray:
        settings = self.settings
        kept = shown[random.random(len(shown)) >= settings.missing_label_rate]
        if not len(kept):
            kept = shown[:1]
        if random.random() < settings.wrong_label_rate:
            draws = self.popularity + random.gumbel(size=len(self.popularity))
            kept = np.union1d(kept, np.argmax(draws))
        return kept


def _quantize(frames: np.ndarray) -> np.ndarray:
    """Scales noise to a third of the range and rounds to 8 bits."""
    value_range = QUANTISATION_MAX - QUANTISATION_MIN
    scaled = (0.4 * frames - QUANTISATION_MIN) * (255.0 / value_range)
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def rate_segments(
    random: np.random.Generator, video: SyntheticVideo, count: int
) -> list[Rating]:
    """Rates some whole segments for every label that a video shows.

    Half of the segments are drawn among those that a scene touches; a label is
    in a segment that one of its scenes touches.
    """
    num_segments = len(video.frames) // SEGMENT_FRAMES
    touched = {
        (scene.label, segment)
        for scene in video.scenes
        for segment in range(
            scene.start // SEGMENT_FRAMES, -(-scene.end // SEGMENT_FRAMES)
        )
        if segment < num_segments
    }
    busy = np.unique([segment for _, segment in touched]).astype(int)
    chosen = random.permutation(busy)[: (count + 1) // 2]
    others = np.setdiff1d(np.arange(num_segments), chosen)
    others = random.permutation(others)[: count - len(chosen)]
    return [
        Rating(
            SEGMENT_FRAMES * segment, label, float((label, segment) in touched)
        )
        for segment in sorted([*chosen.tolist(), *others.tolist()])
        for label in video.shown.tolist()
    ]


def draw_records(
    world: SyntheticWorld, first: int, last: int
) -> Iterator[bytes]:
    """Yields the records of the videos `first` to before `last`."""
    settings = world.settings
    ends = np.cumsum(settings.feature_sizes)[:-1]
    for index in range(first, last):
        # A video depends on its split and index alone, not on the shards.
        random = np.random.default_rng(
            [settings.seed, 1, index, *settings.split.encode()]
        )
        video = world.draw_video(random)
        features = np.split(video.frames, ends, axis=1)
        record = to_sequence_example(
            f"{settings.split}{index:07d}",
            video.labels,
            dict(zip(settings.feature_names, features, strict=True)),
        )
        add_ratings(
            record, rate_segments(random, video, settings.rated_segments)
        )
        yield serialize_record(
            record, settings.record_form, settings.feature_names
        )


def write_synthetic_data(
    settings: SyntheticSettings, output_dir: str | Path
) -> Iterator[tuple[Path, bool]]:
    """Writes a split in shards, each whole or not at all.

    Existing shards of the same settings are kept.

    Yields:
      Every shard's path and whether it was written now.
    """
    directory = to_path(output_dir)
    make_world = functools.cache(lambda: SyntheticWorld(settings))
    return write_shards(
        directory,
        settings.split,
        settings.num_shards,
        settings.num_videos,
        lambda first, last: draw_records(make_world(), first, last),
        directory / f"settings_{settings.split}.json",
        describe_record_settings(settings),
    )
