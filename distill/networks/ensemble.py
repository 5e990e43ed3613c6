"""Several networks as one: the weighted mean of their predictions."""

import functools
from collections.abc import Sequence
from pathlib import Path

from distill.checkpoints.checkpoint import read_settings
from distill.distributed.tracing import BatchPolymorphicFunction
from distill.models.ensemble_model import EnsembleModel
from distill.models.frame_budget import ALL_FRAMES, FrameBudget
from distill.networks.ensemble_file import Ensemble, Member, is_ensemble
from distill.networks.network import Network, input_shapes
from distill.networks.stored_settings import check_same_data
from distill.settings.schema import DataSchema


class EnsembleNetwork:
    """Networks of any kinds and frame budgets that read the same data.

    It replaces a `Network` wherever videos are predicted. It reads whole
    videos, and one graph selects the frames of every member. The weights of
    the mean sum to 1.

    Attributes:
      num_frames: The most frames of a video that a member sees.
      frames_needed: The most frames of a video that must be there for one.
      num_parameters: Number of values in the weights of all members.
      macs: MACs of all members for one video of the most frames.

    Raises:
      ValueError: A member draws its frames at random, or the weights do not
        sum to 1.
    """

    budget = ALL_FRAMES

    def __init__(
        self,
        networks: Sequence[Network],
        weights: Sequence[float],
        schema: DataSchema,
    ):
        self.networks = list(networks)
        self.schema = schema
        self._weights = list(weights)
        self._model = EnsembleModel(
            [network.raw_model() for network in networks],
            self._weights,
            name="ensemble",
        )
        self._model.build(
            input_shapes(schema, schema.max_frames, schema.num_features)
        )
        self.num_frames = max(network.num_frames for network in networks)
        self.frames_needed = max(n.frames_needed for n in networks)
        self.num_parameters = sum(n.num_parameters for n in networks)
        self.macs = self._model.macs()

    def of_segments(self) -> "EnsembleNetwork":
        """Returns the same ensemble for segments of the videos it reads."""
        members = [network.of_segments() for network in self.networks]
        schema = self.schema.of_segments()
        return EnsembleNetwork(members, self._weights, schema)

    def raw_model(self) -> EnsembleModel:
        """Returns the model from stored videos to predictions."""
        return self._model

    @functools.cached_property
    def compiled_predict(self) -> BatchPolymorphicFunction:
        """The mean predictions as one graph for batches of any size."""
        return BatchPolymorphicFunction(self._model)

    def at_budget(self, budget: FrameBudget) -> "EnsembleNetwork":
        """Raises a ValueError: every member keeps its own budget."""
        raise ValueError(
            "The members of an ensemble keep the frames they were trained on: "
            f"it cannot be run with {budget.name} (--frame_selection, "
            "--every_n, --frame_budget)."
        )


def read_data_schema(path: str | Path) -> DataSchema:
    """Returns the data layout of a checkpoint or an ensemble.

    Raises:
      ValueError: The file is neither.
    """
    if is_ensemble(path):
        path = Ensemble.read(path).members[0].checkpoint
    return read_settings(path).data


def check_members(members: Sequence[Member]) -> DataSchema:
    """Returns the data layout that all members share.

    Raises:
      ValueError: A file is not a checkpoint, has no network of the member's
        role, or reads other data than the first.
    """
    first = read_settings(members[0].checkpoint).data
    for member in members:
        settings = read_settings(member.checkpoint)
        try:
            settings.network(member.role)
        except ValueError as error:
            raise ValueError(f"{member.checkpoint}: {error}") from error
        check_same_data(
            member.checkpoint,
            settings.data,
            first,
            f"the ensemble's {members[0].checkpoint}",
        )
    return first
