"""From the body of a predict request to the videos that the model reads."""

import base64
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from distill.serving.json_body import parse_json

if TYPE_CHECKING:
    from distill.predictor import Predictor

SIGNATURE = "serving_default"
_KEYS = ("instances", "inputs", "signature_name", "parameters")


@dataclasses.dataclass(frozen=True)
class PredictRequest:
    """What is asked for.

    Attributes:
      videos: The videos as the predictor's `check` returns them.
      columnar: Whether the answer is `outputs` instead of `predictions`.
      full: Whether the answer holds every class's probability.
    """

    videos: list[np.ndarray]
    columnar: bool
    full: bool


def read_request(body: bytes, predictor: "Predictor") -> PredictRequest:
    """Returns what a body asks for.

    Args:
      body: JSON of `instances` (row format) or `inputs` (columnar format).
      predictor: Says what a video has to be.

    Raises:
      ValueError: What is wrong, with the index of the video that is.
    """
    try:
        request = parse_json(body)
    except ValueError as error:
        raise ValueError(f"The body is no JSON: {error}.") from error
    request = _check_object(request, "The body", _KEYS)
    _check_signature(request.get("signature_name", SIGNATURE))
    parameters = _check_object(
        request.get("parameters", {}), "parameters", ("full",)
    )
    full = parameters.get("full", False)
    if not isinstance(full, bool):
        raise ValueError("parameters.full must be true or false.")
    if ("instances" in request) == ("inputs" in request):
        raise ValueError("Give either 'instances' or 'inputs'.")
    columnar = "inputs" in request
    rows = _rows_of_columns if columnar else _rows_of_instances
    name = "inputs" if columnar else "instances"
    videos = []
    for index, row in enumerate(rows(request[name], _input_key(predictor))):
        try:
            videos.append(_read_video(row, predictor))
        except ValueError as error:
            raise ValueError(f"{name}[{index}]: {error}") from error
    if not videos:
        raise ValueError(f"'{name}' holds no video.")
    return PredictRequest(videos, columnar, full)


def _input_key(predictor: "Predictor") -> str:
    return "frames" if predictor.frame_features else "features"


def _check_object(value: Any, name: str, keys: tuple[str, ...]) -> dict:
    if not isinstance(value, dict):
        raise ValueError(f"{name} must be an object, got {_kind(value)}.")
    for key in value:
        if key not in keys:
            raise ValueError(
                f"{name} has an unknown key {key[:50]!r}; known: "
                f"{', '.join(keys)}."
            )
    return value


def _check_signature(name: Any) -> None:
    if name not in (SIGNATURE, ""):
        shown = repr(name[:50]) if isinstance(name, str) else _kind(name)
        raise ValueError(
            f"There is no signature {shown}; signature_name may be: "
            f"{SIGNATURE}."
        )


def _rows_of_instances(instances: Any, key: str) -> Iterator[dict]:
    """Yields the videos of the row format.

    A model of one input takes the input's value in place of an object.
    """
    if not isinstance(instances, list):
        raise ValueError(f"'instances' must be a list, got {_kind(instances)}.")
    for instance in instances:
        if key == "features" and _is_value(instance):
            instance = {key: instance}
        yield instance


def _rows_of_columns(inputs: Any, key: str) -> Iterator[dict]:
    """Yields the videos of the columnar format."""
    if key == "features" and isinstance(inputs, list):
        inputs = {key: inputs}
    columns = _check_object(inputs, "'inputs'", _video_keys(key))
    if key not in columns:
        raise ValueError(f"'inputs' has no '{key}'.")
    for name, column in columns.items():
        if not isinstance(column, list):
            raise ValueError(
                f"inputs.{name} must be a list, an element a video, got "
                f"{_kind(column)}."
            )
        if len(column) != len(columns[key]):
            raise ValueError(
                f"inputs.{name} is of {len(column)} videos, inputs.{key} of "
                f"{len(columns[key])}."
            )
    for row in zip(*columns.values(), strict=True):
        yield dict(zip(columns, row, strict=True))


def _video_keys(key: str) -> tuple[str, ...]:
    return ("frames", "num_frames") if key == "frames" else (key,)


def _is_value(instance: Any) -> bool:
    return not isinstance(instance, dict) or instance.keys() == {"b64"}


def _read_video(row: Any, predictor: "Predictor") -> np.ndarray:
    """Returns a video as the predictor's `check` returns it."""
    key = _input_key(predictor)
    row = _check_object(row, "a video", _video_keys(key))
    if key not in row:
        raise ValueError(f"'{key}' is missing.")
    value = row[key]
    if isinstance(value, dict):
        content = _decode(_check_object(value, key, ("b64",)), key)
        if key == "features":
            return predictor.check(_features_of_bytes(content, predictor))
        video = _frames_of_bytes(content, predictor.num_features)
    elif key == "features":
        features = _numbers(value, predictor.num_features, key)
        return predictor.check(features.astype(np.float32))
    else:
        video = value
        if not isinstance(video, list):
            raise ValueError(
                f"frames must be a list of frames or an object of 'b64', got "
                f"{_kind(video)}."
            )
    if "num_frames" in row:
        video = video[: _check_num_frames(row["num_frames"], len(video))]
    if isinstance(video, list):
        video = _frames_of_lists(video, predictor.num_features)
    return predictor.check(video)


def _decode(value: dict, key: str) -> bytes:
    encoded = value.get("b64")
    if not isinstance(encoded, str):
        raise ValueError(f"{key}.b64 must be a string, got {_kind(encoded)}.")
    try:
        return base64.b64decode(encoded, validate=True)
    except ValueError as error:
        raise ValueError(f"{key}.b64 is no base64: {error}.") from error


def _frames_of_bytes(content: bytes, width: int) -> np.ndarray:
    if len(content) % width:
        raise ValueError(
            f"frames.b64 is of {len(content)} bytes, which is no multiple of "
            f"a frame's {width}."
        )
    return np.frombuffer(content, np.uint8).reshape(-1, width)


def _features_of_bytes(content: bytes, predictor: "Predictor") -> np.ndarray:
    if len(content) != 4 * predictor.num_features:
        raise ValueError(
            f"features.b64 is of {len(content)} bytes; "
            f"{predictor.num_features} little-endian float32 are "
            f"{4 * predictor.num_features}."
        )
    return np.frombuffer(content, "<f4").astype(np.float32)


def _check_num_frames(num_frames: Any, held: int) -> int:
    if type(num_frames) is not int or not 1 <= num_frames <= held:
        is_number = type(num_frames) in (int, float)
        shown = num_frames if is_number else _kind(num_frames)
        raise ValueError(
            f"num_frames must be a whole number from 1 to the {held} frames "
            f"given, got {str(shown)[:20]}."
        )
    return num_frames


def _frames_of_lists(frames: list, width: int) -> np.ndarray:
    """Returns int64, bytes; or float32 if any number has a fraction."""
    if not frames:
        return np.zeros([0, width], np.uint8)
    video = np.stack(
        [
            _numbers(frame, width, f"frames[{index}]")
            for index, frame in enumerate(frames)
        ]
    )
    return video if video.dtype == np.int64 else video.astype(np.float32)


def _numbers(values: Any, width: int, place: str) -> np.ndarray:
    """Returns int64 where all are whole numbers, else float64."""
    if not isinstance(values, list):
        raise ValueError(
            f"{place} must be a list of numbers, got {_kind(values)}."
        )
    if len(values) != width:
        raise ValueError(
            f"{place} has {len(values)} values instead of {width}."
        )
    kinds = set(map(type, values))
    if not kinds <= {int, float}:
        wrong = next(v for v in values if type(v) not in (int, float))
        raise ValueError(f"{place} must hold numbers, got {_kind(wrong)}.")
    try:
        return np.array(values, np.int64 if kinds == {int} else np.float64)
    except OverflowError as error:
        raise ValueError(f"{place} holds too great a number.") from error


def _kind(value: Any) -> str:
    """Returns a JSON value's kind in words."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    kinds = {dict: "an object", list: "a list", str: "a string"}
    return kinds.get(type(value), "a number")
