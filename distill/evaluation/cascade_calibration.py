"""Thresholds of a cascade for a wanted mean number of frames."""

import numpy as np

from distill.data.pipeline import VideoReader
from distill.evaluation.evaluate import predict_videos
from distill.models.frame_budget import FrameBudget
from distill.networks.cascade import CASCADE_SELECTION, Cascade, check_budgets
from distill.networks.network import Network

_HALVINGS = 40


def calibrate(
    network: Network,
    reader: VideoReader,
    budgets: tuple[int, ...],
    mean_frames: float,
) -> Cascade:
    """Finds the thresholds of a wanted mean number of frames.

    The same share of the videos goes on from every stage. Labels are not used.

    Args:
      network: A student that serves every budget.
      reader: Reads the videos whose probabilities decide.
      budgets: Frames of every stage.
      mean_frames: What is wanted.

    Raises:
      ValueError: The mean lies outside the budgets.
    """
    check_budgets(budgets)
    if not budgets[0] <= mean_frames <= budgets[-1]:
        raise ValueError(
            f"The mean number of frames must be from {budgets[0]} to "
            f"{budgets[-1]}, the cascade's budgets, got {mean_frames}."
        )
    confidences = np.stack(
        [_confidences(network, reader, k) for k in budgets], axis=1
    )
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        share = (low + high) / 2
        thresholds, mean = _thresholds(confidences, budgets, share)
        low, high = (share, high) if mean < mean_frames else (low, share)
    return Cascade(tuple(budgets), thresholds)


def _confidences(network, reader, k):
    """Returns each video's greatest probability at a budget."""
    at_budget = network.at_budget(FrameBudget(CASCADE_SELECTION, num_frames=k))
    return np.concatenate(
        [
            videos.predictions.max(axis=1)
            for videos in predict_videos(at_budget, reader)
        ]
    )


def _thresholds(confidences, budgets, share):
    """Returns the thresholds by which a share goes on; the mean of frames."""
    videos = np.arange(len(confidences))
    frames, thresholds = float(budgets[0]), []
    for stage in range(len(budgets) - 1):
        held = confidences[videos, stage]
        # Above 1 is nobody sure.
        ordered = np.append(np.sort(held), 2.0)
        threshold = float(ordered[round(share * len(held))])
        videos = videos[held < threshold]
        more = budgets[stage + 1] - budgets[stage]
        frames += more * len(videos) / len(confidences)
        thresholds.append(threshold)
    return tuple(thresholds), frames
