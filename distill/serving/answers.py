"""The service's answers, in the form of TensorFlow Serving's REST API."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from distill.metrics.ranking import top_classes
from distill.serving.predict_requests import SIGNATURE, PredictRequest
from distill.serving.video_requests import VideoRequest
from distill.settings.video import VideoSettings

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
      probabilities: float32 `[videos, classes]`.
      request: Says in which form they are wanted.
      class_names: The name of every class.
      top_k: Classes of a video, best first, equal ones by their index.
    """
    rows = _rows(probabilities, class_names, top_k, request.full)
    if not request.columnar:
        return orjson.dumps({"predictions": rows})
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    return orjson.dumps({"outputs": columns})


def render_video_file(
    probabilities: np.ndarray, asked: VideoRequest, seconds: float
) -> bytes:
    """Returns the JSON answer to a request with a video file.

    Args:
      probabilities: float32 `[1, classes]`.
      asked: The request.
      seconds: Time of the model, with the wait for it.
    """
    names = asked.model.predictor.class_names
    answer = {
        "predictions": _rows(probabilities, names, asked.top_k, full=False),
        "video": {
            "num_frames": asked.read.num_frames,
            "num_decoded_frames": asked.read.num_decoded,
        },
        "milliseconds": {
            "decoding_and_extraction": round(1000 * asked.seconds, 1),
            "classification": round(1000 * seconds, 1),
        },
    }
    return orjson.dumps(answer)


def _rows(
    probabilities: np.ndarray,
    class_names: Sequence[str],
    top_k: int,
    full: bool,
) -> list[dict[str, orjson.Fragment]]:
    """Returns the encoded prediction of each video."""
    rows = []
    for video, best in zip(
        probabilities, top_classes(probabilities, top_k), strict=True
    ):
        row = {
            "class_indexes": best.tolist(),
            "class_names": [class_names[index] for index in best],
            "probabilities": video[best],
        }
        if full:
            row["predictions"] = video
        # Video by video, since the encoder holds the GIL.
        rows.append({name: _encode(value) for name, value in row.items()})
    return rows


def _encode(value: Any) -> orjson.Fragment:
    return orjson.Fragment(
        orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)
    )


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
    predictor: "Predictor",
    model_name: str,
    top_k: int,
    loaded_at: str,
    limits: VideoSettings | None,
) -> dict[str, Any]:
    """Returns the model's signature, description and time of loading.

    Args:
      predictor: The model.
      model_name: Its name in addresses.
      top_k: Classes of an answer.
      loaded_at: When it was loaded.
      limits: Of video files; None where none are taken.
    """
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
    model = predictor.describe() | {"loaded_at": loaded_at}
    if limits is not None:
        model["video_files"] = dataclasses.asdict(limits)
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
            "model": model,
        },
    }


def _tensor(kind: str, *sizes: int) -> dict[str, Any]:
    dims = [{"size": str(size), "name": ""} for size in sizes]
    shape = {"dim": dims, "unknown_rank": False}
    return {"dtype": kind, "tensor_shape": shape}
