"""A student that sees few frames, and more only where it is unsure.

The frames of a stage are among those of the next stage (`nested_k`), so every
frame is fetched once. A student of means sees the means of more parts instead.
A video is sure if its greatest probability reaches the
stage's threshold (Teerapittayanon et al., "BranchyNet", ICPR 2016, with the
probability in place of the entropy).
"""

import dataclasses
import functools
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from distill.data.pipeline import VideoReader
from distill.distributed.tracing import BatchPolymorphicFunction
from distill.evaluation.evaluate import predict_videos
from distill.models.argument_checks import check_at_least
from distill.models.frame_budget import (
    ALL_FRAMES,
    SEGMENT_MEANS,
    FrameBudget,
)
from distill.networks.network import Network
from distill.system.atomic_files import replace_atomically
from distill.system.small_files import read_json_object
from distill.system.typed_json import read_dataclass

# Bisection steps of the calibration: 2^-40 is below one video of any set.
_NUM_BISECTIONS = 40


@dataclasses.dataclass(frozen=True)
class Cascade:
    """The stages of a cascade.

    Attributes:
      budgets: Frames of every stage, in rising order.
      thresholds: The least greatest probability with which a video ends at a
        stage; one for each stage but the last.
    """

    budgets: tuple[int, ...]
    thresholds: tuple[float, ...]

    def __post_init__(self):
        """Checks the budgets and the number of thresholds."""
        _check_budgets(self.budgets)
        if len(self.thresholds) != len(self.budgets) - 1:
            raise ValueError(
                f"A cascade of {len(self.budgets)} stages has one threshold "
                f"fewer, got {len(self.thresholds)}."
            )

    def write(self, path: str | Path) -> None:
        """Writes the cascade as JSON, atomically."""
        with replace_atomically(path) as temporary:
            temporary.write_text(json.dumps(dataclasses.asdict(self)) + "\n")

    @classmethod
    def read(cls, path: str | Path) -> "Cascade":
        """Reads a cascade.

        Raises:
          ValueError: The file is not a cascade.
        """
        try:
            return read_dataclass(cls, read_json_object(path))
        except ValueError as error:
            text = str(error).removesuffix(".")
            raise ValueError(f"{path} is not a cascade: {text}.") from error


def _check_budgets(budgets: tuple[int, ...]) -> None:
    check_at_least(1, cascade_budgets=min(budgets, default=0))
    if list(budgets) != sorted(set(budgets)):
        raise ValueError(
            "cascade_budgets must rise from stage to stage, got "
            f"{list(budgets)}."
        )


class CascadeNetwork:
    """A student that serves every budget, run as a cascade.

    It replaces a `Network` wherever videos are predicted, and reads whole
    videos; `macs` are those of a video that passes all stages.

    Attributes:
      frames_seen: For each batch, int `[batch]`: frames that a video took.
      stages: For each batch, int `[batch]`: the stage at which a video ended.

    Raises:
      ValueError: A stage has more frames than the student reads, or the
        student attends to one number of parts.
    """

    budget = ALL_FRAMES

    def __init__(self, network: Network, cascade: Cascade):
        if network.budget.attends:
            raise ValueError(
                f"A student of {network.budget.name} attends to one number of "
                "parts: a cascade needs segment_means, or frames."
            )
        if cascade.budgets[-1] > network.max_frames:
            raise ValueError(
                f"cascade_budgets must be at most {network.max_frames}, the "
                f"most frames of the student, got {cascade.budgets[-1]}."
            )
        self.network = network
        self.cascade = cascade
        self.num_frames = cascade.budgets[-1]
        last = _at_stage(network, self.num_frames)
        self.frames_needed = last.frames_needed
        self.num_parameters = network.num_parameters
        # A stage starts anew: it reuses no result of the one before.
        self._stage_macs = [network.model.macs(k) for k in cascade.budgets]
        self.macs = sum(self._stage_macs)
        self.frames_seen: list[np.ndarray] = []
        self.stages: list[np.ndarray] = []

    @functools.cached_property
    def _stage_functions(self) -> list[BatchPolymorphicFunction]:
        return [
            _at_stage(self.network, k).compiled_predict_whole
            for k in self.cascade.budgets
        ]

    def compiled_predict(self, inputs: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Returns `predictions` `[batch, classes]` of whole videos."""
        num_frames = inputs["num_frames"].numpy()
        videos = np.arange(len(num_frames))
        stages = np.zeros(len(videos), np.int64)
        predictions = None
        for stage, predict in enumerate(self._stage_functions):
            unsure = {k: tf.gather(v, videos) for k, v in inputs.items()}
            found = predict(unsure).numpy()
            if predictions is None:
                predictions = np.empty((len(num_frames), found.shape[1]), "f")
            predictions[videos], stages[videos] = found, stage
            if stage < len(self.cascade.thresholds):
                sure = found.max(axis=1) >= self.cascade.thresholds[stage]
                videos = videos[~sure]
            if not len(videos):
                break
        budgets = np.array(self.cascade.budgets)
        self.frames_seen.append(np.minimum(budgets[stages], num_frames))
        self.stages.append(stages)
        return tf.constant(predictions)

    def shares(self) -> list[float]:
        """Returns the share of the predicted videos that each stage ended."""
        stages = np.concatenate(self.stages)
        counts = np.bincount(stages, minlength=len(self.cascade.budgets))
        return (counts / len(stages)).tolist()

    def mean_frames(self) -> float:
        """Returns the mean number of frames of the predicted videos."""
        return float(np.mean(np.concatenate(self.frames_seen)))

    def mean_macs(self) -> float:
        """Returns the mean MACs of the predicted videos."""
        costs = np.cumsum(self._stage_macs)
        return float(np.mean(costs[np.concatenate(self.stages)]))


def calibrate(
    network: Network,
    reader: VideoReader,
    budgets: tuple[int, ...],
    mean_frames: float,
) -> Cascade:
    """Finds the thresholds that give a student a mean number of frames.

    Every stage passes the same share of the reader's videos on. Labels are not
    used.

    Raises:
      ValueError: The mean lies outside the budgets.
    """
    _check_budgets(budgets)
    if not budgets[0] <= mean_frames <= budgets[-1]:
        raise ValueError(
            f"The mean number of frames must be from {budgets[0]} to "
            f"{budgets[-1]}, the cascade's budgets, got {mean_frames}."
        )
    stages = []
    for k in budgets:
        batches = predict_videos(_at_stage(network, k), reader)
        greatest = [videos.predictions.max(axis=1) for videos in batches]
        stages.append(np.concatenate(greatest))
    confidences = np.stack(stages, axis=1)
    low, high = 0.0, 1.0
    thresholds: tuple[float, ...] = ()
    for _ in range(_NUM_BISECTIONS):
        share = (low + high) / 2
        thresholds, mean = _find_thresholds(confidences, budgets, share)
        low, high = (share, high) if mean < mean_frames else (low, share)
    return Cascade(tuple(budgets), thresholds)


def _at_stage(network: Network, num_frames: int) -> Network:
    """Returns the student with a stage's number of frames, or of means."""
    selection = SEGMENT_MEANS if network.budget.averages else "nested_k"
    return network.at_budget(FrameBudget(selection, num_frames=num_frames))


def _find_thresholds(
    confidences: np.ndarray, budgets: tuple[int, ...], share: float
) -> tuple[tuple[float, ...], float]:
    """Returns the thresholds that pass a share on, and the mean of frames."""
    videos = np.arange(len(confidences))
    frames, thresholds = float(budgets[0]), []
    for stage in range(len(budgets) - 1):
        values = confidences[videos, stage]
        # With a threshold above 1 every video goes on.
        ordered = np.append(np.sort(values), 2.0)
        threshold = float(ordered[round(share * len(values))])
        videos = videos[values < threshold]
        more = budgets[stage + 1] - budgets[stage]
        frames += more * len(videos) / len(confidences)
        thresholds.append(threshold)
    return tuple(thresholds), frames
