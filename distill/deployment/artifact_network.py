"""An artifact in the place of a network, for evaluation and inference."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from distill.deployment.comparison import to_arrays
from distill.deployment.runtimes import load_runtime
from distill.predictor import CARD, read_interface


class ArtifactNetwork:
    """What evaluation and inference need of a network, of an artifact.

    Args:
      path: The artifact, beside its card.

    Raises:
      ValueError: It is none, or cannot be read.
    """

    def __init__(self, path: str | Path):
        path = Path(path)
        self._runtime = load_runtime(path)
        self.interface = read_interface(path.parent)
        self.schema = self.interface.schema
        card = json.loads((path.parent / CARD).read_text(encoding="utf-8"))
        self.card = card
        self.num_frames = card["network"]["frames"]
        self.num_parameters = card["network"]["parameters"]
        self.multiply_adds = card["network"]["multiply_adds"]

    @property
    def label_loss(self) -> str:
        """The loss that its network was trained with."""
        return self.card["network"]["label_loss"]

    @property
    def source(self) -> dict[str, Any]:
        """The `which` and `step` of what it was made of."""
        return {key: self.card["source"][key] for key in ("which", "step")}

    @property
    def budget(self) -> Any:
        """The frames that are read of records."""
        return self.interface.reading_budget

    def compiled_predict(self, inputs: Mapping[str, Any]) -> tf.Tensor:
        """Returns `predictions` `[batch, classes]` of videos as read."""
        return tf.constant(self._runtime(to_arrays(inputs, self.interface)))
