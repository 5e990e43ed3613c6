"""The model that answers, and all that is replaced with it."""

import dataclasses
import datetime
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from distill.serving.batching import Predict

if TYPE_CHECKING:
    from distill.extraction.video_features import NetworkReader
    from distill.predictor import Predictor

_WHAT_CLIENTS_SEE = (
    "frame_features",
    "num_features",
    "frame_type",
    "max_frames",
    "quantisation_range",
    "num_classes",
)


@dataclasses.dataclass(frozen=True)
class ServedModel:
    """A model as the service uses it.

    Attributes:
      predictor: The model.
      reader: Extracts what it reads of video files; None without an extractor.
      predict: Predicts videos, and counts them.
      loaded_at: When it was loaded, in UTC.
    """

    predictor: "Predictor"
    reader: "NetworkReader | None"
    predict: Predict
    loaded_at: str

    @classmethod
    def of(
        cls,
        predictor: "Predictor",
        reader: "NetworkReader | None",
        observe: Callable[[int], None],
    ) -> "ServedModel":
        """Returns a model; `observe` is told the videos of every call."""
        predict = functools.partial(_predict, predictor, observe)
        return cls(predictor, reader, predict, _now())

    def check_successor(self, predictor: "Predictor") -> None:
        """Checks that another model may take over.

        Raises:
          ValueError: It reads other videos, or has other classes.
        """
        present = self.predictor.interface
        for name in _WHAT_CLIENTS_SEE:
            old, new = (
                getattr(interface.schema, name)
                for interface in (present, predictor.interface)
            )
            if old != new:
                raise ValueError(
                    f"{predictor.name} has {name} {new} instead of {old}; "
                    "restart the service to change that."
                )
        if predictor.class_names != present.class_names:
            raise ValueError(
                f"{predictor.name} has other class names than the model that "
                "serves; restart the service to change them."
            )


def _predict(
    predictor: "Predictor",
    observe: Callable[[int], None],
    videos: list[np.ndarray],
) -> np.ndarray:
    observe(len(videos))
    return predictor.probabilities(videos)


def _now() -> str:
    now = datetime.datetime.now(datetime.UTC)
    return now.isoformat(" ", "seconds").removesuffix("+00:00") + " UTC"
