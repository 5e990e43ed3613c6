"""Random predictions and labels of very many videos."""

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from distill.models.argument_checks import check_at_least
from distill.models.options import check_options, option

if TYPE_CHECKING:
    from distill.evaluation.evaluate import Prediction

NUM_SAMPLES = 10
_NUM_LABELS = 3
_MAX_SCORE_OF_OTHERS = 0.5


@dataclasses.dataclass(frozen=True)
class PredictionStream:
    """Random predictions and labels.

    Raises:
      ValueError: A value is too small; a tenth of the videos must be a batch
        or more.
    """

    num_videos: int = option(1_000_000, "Videos to draw.")
    num_classes: int = option(3862, "Number of classes.", minimum=_NUM_LABELS)
    batch_size: int = option(1024, "Videos a batch.", minimum=1)
    seed: int = option(0, "Seed of the predictions and labels.")
    top_k: int = option(
        20, "Classes a video in GAP and in the CSV file.", minimum=1
    )

    def __post_init__(self):
        """Checks the fields."""
        check_options(self)
        check_at_least(
            NUM_SAMPLES * self.batch_size, num_videos=self.num_videos
        )

    def batches(self) -> Iterator["Prediction"]:
        """Yields batches; equal fields give equal batches.

        A video has one to three labels, more often of the first classes, with
        scores from 0 to 1. Other scores are below 0.5, and most are small.
        """
        from distill.evaluation.evaluate import Prediction

        random = np.random.default_rng(self.seed)
        for start in range(0, self.num_videos, self.batch_size):
            size = min(self.batch_size, self.num_videos - start)
            scores = random.random((size, self.num_classes), np.float32)
            # To the eighth power: cheaper than an exponential.
            for _ in range(3):
                np.multiply(scores, scores, out=scores)
            scores *= _MAX_SCORE_OF_OTHERS
            classes = random.random((size, _NUM_LABELS)) ** 3 * self.num_classes
            classes = classes.astype(np.int64)
            rows = np.arange(size)[:, None]
            labels = np.zeros(scores.shape, bool)
            labels[rows, classes] = True
            scores[rows, classes] = random.random(classes.shape, np.float32)
            ids = [f"v{index:07d}" for index in range(start, start + size)]
            yield Prediction(ids, scores, labels)
