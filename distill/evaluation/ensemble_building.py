"""Building an ensemble: scores of its members, its weights, its file."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from distill.data.pipeline import VideoReader
from distill.evaluation.ensemble_weights import KeptPredictions, search_weights
from distill.evaluation.evaluate import evaluate_checkpoint
from distill.networks.ensemble import check_members
from distill.networks.ensemble_file import Ensemble, Member
from distill.networks.loading import load_network


@dataclasses.dataclass(frozen=True)
class EnsembleBuilder:
    """What an ensemble is built for.

    Attributes:
      reader: Reads the videos to score on, with labels.
      top_k: Classes a video that enter GAP.
      precision: What the networks compute in.
    """

    reader: VideoReader
    top_k: int = 20
    precision: str = "float32"

    def build(
        self,
        members: Sequence[Member],
        path: str | Path,
        search_steps: int | None = None,
    ) -> dict[str, dict[str, Any]]:
        """Writes an ensemble's file and scores it beside its members.

        Args:
          members: The networks, with weights.
          path: The file to write: of the members of weights above 0.
          search_steps: Steps of a search of the weights on the reader's
            videos; None: the members' own.

        Returns:
          Scores by name: of each member as distill evaluate has them, and of
          `ensemble`, each with its `weight`.

        Raises:
          ValueError: The members make no ensemble.
        """
        ensemble = Ensemble(tuple(members))
        check_members(ensemble.members)
        kept = None if search_steps is None else self._keep()
        scores = {
            member.name: self._score_member(member, kept)
            for member in ensemble.members
        }
        if kept is not None:
            weights = search_weights(
                kept, num_steps=search_steps, top_k=self.top_k
            )
            ensemble = Ensemble(
                tuple(
                    dataclasses.replace(member, weight=weight)
                    for member, weight in zip(members, weights, strict=True)
                )
            )
        ensemble.write(path)
        for member in ensemble.members:
            scores[member.name]["weight"] = member.weight
        scores["ensemble"] = self._score(path, "student") | {"weight": 1.0}
        return scores

    def _keep(self) -> KeptPredictions:
        if self.reader.schema.segment_labels:
            raise ValueError(
                "--search_weights is for whole videos, not --segment_labels: "
                "give --weights."
            )
        return KeptPredictions()

    def _score_member(self, member, kept):
        if kept is None:
            return self._score(member.checkpoint, member.role)
        kept.start_member()
        return self._score(member.checkpoint, member.role, kept.keep)

    def _score(self, checkpoint, role, observe=None):
        return evaluate_checkpoint(
            checkpoint,
            role,
            self.reader,
            top_k=self.top_k,
            network=load_network(checkpoint, role, self.precision),
            observe=observe,
        )
