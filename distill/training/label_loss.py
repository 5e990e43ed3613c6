"""The loss against labels that the settings name, with their options."""

import functools
from collections.abc import Callable
from typing import Any

from distill.losses import LABEL_LOSSES
from distill.settings.training import TrainingSettings


def make_label_loss(
    training: TrainingSettings, positive_weights=None
) -> Callable:
    """Returns the loss against labels that the settings name.

    Args:
      training: Its name and options.
      positive_weights: As in `cross_entropy`, for that loss alone.

    Returns:
      A function of labels, predictions and perhaps weights.
    """
    options: dict[str, Any] = {}
    if training.label_loss == "CrossEntropyLoss":
        options["alpha"] = training.label_loss_alpha
        options["positive_weights"] = positive_weights
    if training.label_loss == "HingeLoss":
        options["margin"] = training.hinge_margin
    return functools.partial(LABEL_LOSSES[training.label_loss], **options)
