"""An artifact in the place of a network, for evaluation and inference."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from distill.data.pipeline import VideoReader
from distill.deployment.artifact_runtime import load_artifact
from distill.deployment.comparison import to_arrays
from distill.deployment.interface import CARD, read_card
from distill.deployment.unpacking import unpacked
from distill.evaluation.evaluate import (
    describe_frames_needed,
    evaluate_network,
)
from distill.models.argument_checks import check_choice
from distill.settings.training import LABEL_LOSSES


class ArtifactNetwork:
    """An artifact with the attributes that evaluation and inference need.

    Args:
      path: The artifact, beside its card, or an archive of both.
      trust_artifact: Whether it is loaded without the check.

    Raises:
      ValueError: The path is not an export artifact, it is damaged, or the
        check refuses it.
    """

    def __init__(self, path: str | Path, trust_artifact: bool = False):
        with unpacked(path) as artifact:
            self._load(artifact, trust_artifact)

    def _load(self, path: Path, trust_artifact: bool) -> None:
        self._runtime, self.interface = load_artifact(path, trust_artifact)
        self.schema = self.interface.schema
        self.budget = self.interface.reading_budget
        card = read_card(path.parent, ["network", "source"])
        network, source = card["network"], card["source"]
        try:
            self.num_frames = network["frames"]
            self.frames_needed = network.get("frames_needed", self.num_frames)
            self.num_parameters = network["parameters"]
            self.macs = network["macs"]
            self.label_loss = check_choice(
                "label_loss", str(network["label_loss"]), LABEL_LOSSES
            )
            # The `role` and `step` of its checkpoint.
            self.source = {key: source[key] for key in ("role", "step")}
        except KeyError as error:
            raise ValueError(
                f"{path.parent / CARD} is not an export's card: no {error}."
            ) from error

    def compiled_predict(self, inputs: Mapping[str, Any]) -> tf.Tensor:
        """Returns `predictions` `[batch, classes]` of a read batch."""
        return tf.constant(self._runtime(to_arrays(inputs, self.interface)))


def evaluate_artifact(
    artifact: str | Path,
    reader: VideoReader,
    *,
    network: ArtifactNetwork,
    **options: Any,
) -> dict[str, Any]:
    """Scores a loaded artifact, with the options of `evaluate_network`.

    Returns:
      The scores, with the artifact's path as `checkpoint`, and `role` and
      `step` of its checkpoint.
    """
    scores = evaluate_network(
        network, reader, label_loss=network.label_loss, **options
    )
    identity = {"checkpoint": str(artifact)} | network.source
    return identity | scores | describe_frames_needed(network)
