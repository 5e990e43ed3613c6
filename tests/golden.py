"""Golden values of the reference implementations, if they are at hand.

Their form is described in `../shared/golden/README.md`; the folder may be
given by the environment variable `GOLDEN_DIR`.
"""

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

_DEFAULT_DIR = Path(__file__).parents[1] / "../shared/golden"
_WEIGHTS = "weights/"


@dataclasses.dataclass(frozen=True)
class GoldenModel:
    """A reference model at inference time.

    Attributes:
      inputs: `frames` and `num_frames`, or `features`.
      weights: The reference's variables by name.
      outputs: `predictions`, and `embedding` where the reference has one.
      flags: The reference's flags, as strings.
      num_classes: Classes of the predictions.
    """

    inputs: Mapping[str, np.ndarray]
    weights: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]
    flags: Mapping[str, str]
    num_classes: int


@dataclasses.dataclass(frozen=True)
class GoldenMetrics:
    """Predictions, labels and what the references' metrics make of them.

    Attributes:
      predictions: `[videos, classes]` scores.
      labels: `[videos, classes]` booleans.
      expected: The metrics, `losses` by name, and `top_k`.
    """

    predictions: np.ndarray
    labels: np.ndarray
    expected: Mapping[str, Any]


def load_golden_model(name: str) -> GoldenModel:
    """Loads `name.npz`; skips the test where it is missing."""
    arrays = _load(name)
    meta = json.loads(str(arrays["meta"]))
    inputs = ("frames", "num_frames", "features")
    if "frames" not in arrays:
        inputs = ("features",)
    return GoldenModel(
        inputs={key: arrays[key] for key in inputs if key in arrays},
        weights={
            key.removeprefix(_WEIGHTS): array
            for key, array in arrays.items()
            if key.startswith(_WEIGHTS)
        },
        outputs={
            key: arrays[key]
            for key in ("predictions", "embedding")
            if key in arrays
        },
        flags=meta["flags"],
        num_classes=meta["num_classes"],
    )


def load_golden_metrics(name: str) -> GoldenMetrics:
    """Loads `name.npz`; skips the test where it is missing."""
    arrays = _load(name)
    expected = json.loads(str(arrays["expected"]))
    labels = np.unpackbits(
        arrays["labels"], axis=1, count=expected["num_classes"]
    )
    return GoldenMetrics(arrays["predictions"], labels.astype(bool), expected)


def _load(name: str) -> dict[str, np.ndarray]:
    path = Path(os.environ.get("GOLDEN_DIR", _DEFAULT_DIR)) / f"{name}.npz"
    if not path.is_file():
        pytest.skip(f"golden values are not at hand: there is no {path}")
    with np.load(path) as archive:
        return dict(archive)


def assign_lstms(
    lstms: list[keras.layers.LSTM],
    weights: Mapping[str, np.ndarray],
    prefix: str,
) -> None:
    """Loads a stack of the reference's LSTM cells.

    The reference's kernel has the rows of input and state in one, its columns
    are the gates i, j, f, o, and it adds 1 to f at run time; Keras has the
    gates i, f, j, o and adds nothing.

    Args:
      lstms: The layers to fill, the first one first.
      weights: The reference's variables by name.
      prefix: What the names of this stack begin with.
    """
    for index, lstm in enumerate(lstms):
        cell = f"{prefix}/multi_rnn_cell/cell_{index}/basic_lstm_cell"
        kernel = _reorder_gates(weights[f"{cell}/kernel"])
        i, j, f, o = np.split(weights[f"{cell}/bias"], 4)
        lstm.set_weights(
            [
                kernel[: -lstm.units],
                kernel[-lstm.units :],
                np.concatenate([i, f + 1, j, o]),
            ]
        )


def _reorder_gates(kernel: np.ndarray) -> np.ndarray:
    i, j, f, o = np.split(kernel, 4, axis=1)
    return np.concatenate([i, f, j, o], axis=1)


def count_lstm_layers(weights: Mapping[str, np.ndarray], prefix: str) -> int:
    """Returns how many cells the reference's stack `prefix` has."""
    return sum(
        name.startswith(prefix) and name.endswith("/kernel") for name in weights
    )


def moe_weights(
    weights: Mapping[str, np.ndarray], prefix: str = ""
) -> list[np.ndarray]:
    """Returns gates' kernel, experts' kernel and experts' bias."""
    return [
        weights[f"{prefix}gates/weights"],
        weights[f"{prefix}experts/weights"],
        weights[f"{prefix}experts/biases"],
    ]


def count_mixtures(golden: GoldenModel, prefix: str = "") -> int:
    """Returns the experts per class of the reference's classifier."""
    experts = golden.weights[f"{prefix}experts/biases"]
    return len(experts) // golden.num_classes
