"""What the service answers, in the form of TensorFlow Serving's REST API."""

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from distill.metrics.ranking import top_classes
from distill.serving.predict_requests import SIGNATURE, PredictRequest

if TYPE_CHECKING:
    from distill.predictor import Predictor

VERSION = "1"


def render_predictions(
    probabilities: np.ndarray,
    request: PredictRequest,
    class_names: Sequence[str],
    top_k: int,
) -> bytes:
    """Returns the JSON answer to a predict request.

    Args:
      probabilities: `[videos, classes]`.
      request: Says in which form they are wanted.
      class_names: The name of every class.
      top_k: Classes of a video, best first, equal ones by their index.
    """
    rows = [
        _row(video, best, class_names, request.full)
        for video, best in zip(
            probabilities, top_classes(probabilities, top_k), strict=True
        )
    ]
    # A row at a time: the encoder keeps Python's lock.
    if not request.columnar:
        return _wrap("predictions", "[", map(_dump, rows), "]")
    columns = (
        _dump(name) + ": [" + ", ".join(_dump(row[name]) for row in rows) + "]"
        for name in rows[0]
    )
    return _wrap("outputs", "{", columns, "}")


def _dump(value: Any) -> str:
    return json.dumps(value, allow_nan=False)


def _wrap(name: str, begin: str, parts: Iterable[str], end: str) -> bytes:
    return f'{{"{name}": {begin}{", ".join(parts)}{end}}}'.encode()


def _row(
    probabilities: np.ndarray,
    best: np.ndarray,
    class_names: Sequence[str],
    full: bool,
) -> dict[str, list]:
    row = {
        "class_indexes": best.tolist(),
        "class_names": [class_names[index] for index in best],
        "probabilities": probabilities[best].tolist(),
    }
    if full:
        row["predictions"] = probabilities.tolist()
    return row


def render_error(message: str) -> bytes:
    """Returns the JSON of an error."""
    return _dump({"error": message}).encode()


def model_status(stopping: bool) -> dict[str, Any]:
    """Returns the status of the model's one version."""
    return {
        "model_version_status": [
            {
                "version": VERSION,
                "state": "UNLOADING" if stopping else "AVAILABLE",
                "status": {"error_code": "OK", "error_message": ""},
            }
        ]
    }


def model_metadata(
    predictor: "Predictor", model_name: str, top_k: int
) -> dict[str, Any]:
    """Returns the model's signature and what its predictor says of it."""
    width = predictor.num_features
    if predictor.frame_features:
        inputs = {
            "frames": _tensor("DT_UINT8", -1, -1, width),
            "num_frames": _tensor("DT_INT32", -1),
        }
    else:
        inputs = {"features": _tensor("DT_FLOAT", -1, width)}
    classes = min(top_k, predictor.num_classes)
    outputs = {
        "class_indexes": _tensor("DT_INT32", -1, classes),
        "class_names": _tensor("DT_STRING", -1, classes),
        "probabilities": _tensor("DT_FLOAT", -1, classes),
    }
    signature = {
        "inputs": inputs,
        "outputs": outputs,
        "method_name": "tensorflow/serving/predict",
    }
    return {
        "model_spec": {
            "name": model_name,
            "signature_name": "",
            "version": VERSION,
        },
        "metadata": {
            "signature_def": {"signature_def": {SIGNATURE: signature}},
            "model": predictor.describe(),
        },
    }


def _tensor(kind: str, *sizes: int) -> dict[str, Any]:
    sizes = [{"size": str(size), "name": ""} for size in sizes]
    return {
        "dtype": kind,
        "tensor_shape": {"dim": sizes, "unknown_rank": False},
    }
