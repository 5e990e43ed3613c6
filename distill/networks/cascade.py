"""A student that sees few frames, and more of them only where it is unsure.

The frames of a stage are among those of the next (`nested_k`), so that no
frame has to be had twice. Sure is a video whose greatest probability reaches
the stage's threshold (Teerapittayanon et al., "BranchyNet", ICPR 2016, with
the probability in place of the entropy).
"""

import dataclasses
import functools
import json
from pathlib import Path

import numpy as np
import tensorflow as tf

from distill.distributed.tracing import BatchPolymorphicFunction
from distill.models.argument_checks import check_at_least
from distill.models.frame_budget import ALL_FRAMES, FrameBudget
from distill.models.frame_selection import select_frames
from distill.networks.network import Network
from distill.system.atomic_files import replace_atomically
from distill.system.small_files import read_json_object
from distill.system.typed_json import read_dataclass

CASCADE_SELECTION = "nested_k"


@dataclasses.dataclass(frozen=True)
class Cascade:
    """The stages of a cascade.

    Attributes:
      budgets: Frames of every stage, each more than the one before.
      thresholds: The least greatest probability with which a video ends at a
        stage; one fewer than stages.
    """

    budgets: tuple[int, ...]
    thresholds: tuple[float, ...]

    def __post_init__(self):
        """Checks the fields against each other."""
        check_budgets(self.budgets)
        if len(self.thresholds) != len(self.budgets) - 1:
            raise ValueError(
                f"A cascade of {len(self.budgets)} stages has one threshold "
                f"fewer, got {len(self.thresholds)}."
            )

    def write(self, path: str | Path) -> None:
        """Writes the cascade as JSON, whole or not at all."""
        with replace_atomically(path) as temporary:
            temporary.write_text(json.dumps(dataclasses.asdict(self)) + "\n")

    @classmethod
    def read(cls, path: str | Path) -> "Cascade":
        """Returns the cascade that `write` wrote.

        Raises:
          ValueError: The file holds no cascade.
        """
        try:
            return read_dataclass(cls, read_json_object(path))
        except ValueError as error:
            text = str(error).removesuffix(".")
            raise ValueError(f"{path} holds no cascade: {text}.") from error


def check_budgets(budgets: tuple[int, ...]) -> None:
    """Raises a ValueError for budgets of stages that do not rise from 1 on."""
    check_at_least(1, cascade_budgets=min(budgets, default=0))
    if list(budgets) != sorted(set(budgets)):
        raise ValueError(
            "cascade_budgets must be given with the fewest frames first, each "
            f"once, got {list(budgets)}."
        )


class CascadeNetwork:
    """A network that serves every budget, run as a cascade.

    It stands for a `Network` wherever videos are predicted, and is given whole
    videos. After each batch `frames_seen` holds, for all videos so far, the
    frames they took, and `stages` the stage at which they ended.

    Args:
      network: The student.
      cascade: Its stages.

    Raises:
      ValueError: A stage has more frames than the student reads.
    """

    budget = ALL_FRAMES

    def __init__(self, network: Network, cascade: Cascade):
        if cascade.budgets[-1] > network.max_frames:
            raise ValueError(
                f"cascade_budgets must be at most {network.max_frames}, the "
                f"most frames of the student, got {cascade.budgets[-1]}."
            )
        self.network = network
        self.cascade = cascade
        self.frames_seen: list[np.ndarray] = []
        self.stages: list[np.ndarray] = []

    @property
    def num_frames(self) -> int:
        """The most frames of a video that it sees."""
        return self.cascade.budgets[-1]

    @property
    def num_parameters(self) -> int:
        """How many numbers the weights hold."""
        return self.network.num_parameters

    @property
    def macs(self) -> int:
        """MACs of a video that passes all stages."""
        return sum(self.stage_macs)

    @property
    def stage_macs(self) -> list[int]:
        """MACs of a video at each stage, which starts anew."""
        model = self.network.model
        return [model.macs(k) for k in self.cascade.budgets]

    @functools.cached_property
    def _stage_functions(self) -> list[BatchPolymorphicFunction]:
        def make(budget):
            network = self.network.at_budget(budget)
            return BatchPolymorphicFunction(
                lambda videos: network.predict(select_frames(videos, budget))
            )

        return [
            make(FrameBudget(CASCADE_SELECTION, num_frames=k))
            for k in self.cascade.budgets
        ]

    def compiled_predict(self, inputs):
        """Returns `predictions` `[batch, classes]` of whole videos."""
        num_frames = inputs["num_frames"].numpy()
        videos = np.arange(len(num_frames))
        predictions, stage = None, np.zeros(len(videos), np.int64)
        for index, predict in enumerate(self._stage_functions):
            part = {
                key: tf.gather(value, videos) for key, value in inputs.items()
            }
            found = predict(part).numpy()
            if predictions is None:
                predictions = np.empty((len(num_frames), found.shape[1]), "f")
            predictions[videos], stage[videos] = found, index
            if index < len(self.cascade.thresholds):
                sure = found.max(axis=1) >= self.cascade.thresholds[index]
                videos = videos[~sure]
            if not len(videos):
                break
        budgets = np.array(self.cascade.budgets)
        self.frames_seen.append(np.minimum(budgets[stage], num_frames))
        self.stages.append(stage)
        return tf.constant(predictions)

    def shares(self) -> list[float]:
        """Returns which share of the videos so far ended at each stage."""
        stages = np.concatenate(self.stages)
        counts = np.bincount(stages, minlength=len(self.cascade.budgets))
        return (counts / len(stages)).tolist()

    def mean_frames(self) -> float:
        """Returns the mean number of frames of the videos so far."""
        return float(np.mean(np.concatenate(self.frames_seen)))

    def mean_macs(self) -> float:
        """Returns the mean MACs of the videos so far."""
        costs = np.cumsum(self.stage_macs)
        return float(np.mean(costs[np.concatenate(self.stages)]))
