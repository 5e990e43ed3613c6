"""From the body of a predict request to the videos that the model reads."""

import base64
import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

if TYPE_CHECKING:
    from distill.predictor import Predictor

SIGNATURE = "serving_default"
_KEYS = ("instances", "inputs", "signature_name", "parameters")


@dataclasses.dataclass(frozen=True)
class PredictRequest:
    """A predict request.

    Attributes:
      videos: The videos as the predictor's `check` returns them.
      columnar: Whether the answer is `outputs` instead of `predictions`.
      full: Whether the answer holds every class's probability.
    """

    videos: list[np.ndarray]
    columnar: bool
    full: bool


def read_request(
    body: bytes | bytearray, predictor: "Predictor"
) -> PredictRequest:
    """Reads a predict request.

    Args:
      body: JSON of `instances` (row format) or `inputs` (columnar format).
      predictor: Says what a video has to be.

    Raises:
      ValueError: The body is wrong; the message has the index of the video.
    """
    request = load_object(body, _KEYS)
    signature = request.get("signature_name", SIGNATURE)
    if signature not in (SIGNATURE, ""):
        is_text = isinstance(signature, str)
        raise ValueError(
            "There is no signature "
            f"{repr(signature[:50]) if is_text else kind_of(signature)}; "
            f"signature_name may be: {SIGNATURE}."
        )
    parameters = request.get("parameters", {})
    check_object(parameters, "parameters", ("full",))
    full = parameters.get("full", False)
    if not isinstance(full, bool):
        raise ValueError("parameters.full must be true or false.")
    if ("instances" in request) == ("inputs" in request):
        raise ValueError("Give either 'instances' or 'inputs'.")
    columnar = "inputs" in request
    name = "inputs" if columnar else "instances"
    rows = _rows_of_columns if columnar else _rows_of_instances
    key = "frames" if predictor.frame_features else "features"
    width, kind = predictor.num_features, np.dtype(predictor.frame_type)
    videos = []
    for index, row in enumerate(rows(request[name], key)):
        try:
            videos.append(predictor.check(_read_video(row, key, width, kind)))
        except ValueError as error:
            raise ValueError(f"{name}[{index}]: {error}") from error
    if not videos:
        raise ValueError(f"'{name}' holds no video.")
    check_keys_are_single(request, body)
    return PredictRequest(videos, columnar, full)


def load_object(body: bytes | bytearray, keys: tuple[str, ...]) -> dict:
    """Returns the object of a body, whose keys are among the known ones."""
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"The body is not JSON: {error}.") from error
    check_object(request, "The body", keys)
    return request


def check_keys_are_single(request: dict, body: bytes | bytearray) -> None:
    """Refuses a request whose body has a key twice; it is checked else."""
    # A colon always follows a key: no text that has passed the other checks
    # holds one.
    if body.count(b":") != _count_keys(request):
        raise ValueError("An object of the body has a key twice.")


def _count_keys(value: Any) -> int:
    if isinstance(value, dict):
        return len(value) + sum(map(_count_keys, value.values()))
    # The elements of a list are of one kind: no key among numbers.
    if isinstance(value, list) and isinstance(value[0], dict | list):
        return sum(map(_count_keys, value))
    return 0


def check_object(value: Any, name: str, keys: tuple[str, ...]) -> None:
    """Refuses what is no object, and a key that is not known."""
    if not isinstance(value, dict):
        raise ValueError(f"{name} must be an object, got {kind_of(value)}.")
    for key in value:
        if key not in keys:
            raise ValueError(
                f"{name} has an unknown key {key[:50]!r}; known: "
                f"{', '.join(keys)}."
            )


def _rows_of_instances(instances: Any, key: str) -> Iterator[Any]:
    """Yields the videos of the row format.

    A model of one input takes the input's value in place of an object.
    """
    if not isinstance(instances, list):
        raise ValueError(
            f"'instances' must be a list, got {kind_of(instances)}."
        )
    for row in instances:
        is_object = isinstance(row, dict) and row.keys() != {"b64"}
        yield row if is_object or key == "frames" else {key: row}


def _rows_of_columns(inputs: Any, key: str) -> Iterator[dict]:
    if key == "features" and isinstance(inputs, list):
        inputs = {key: inputs}
    check_object(inputs, "'inputs'", _video_keys(key))
    if key not in inputs:
        raise ValueError(f"'inputs' has no '{key}'.")
    for name, column in inputs.items():
        if not isinstance(column, list):
            raise ValueError(
                f"inputs.{name} must be a list with an element per video, got "
                f"{kind_of(column)}."
            )
        if len(column) != len(inputs[key]):
            raise ValueError(
                f"inputs.{name} has {len(column)} videos, inputs.{key} has "
                f"{len(inputs[key])}."
            )
    for row in zip(*inputs.values(), strict=True):
        yield dict(zip(inputs, row, strict=True))


def _video_keys(key: str) -> tuple[str, ...]:
    return ("frames", "num_frames") if key == "frames" else (key,)


def _read_video(row: Any, key: str, width: int, kind: np.dtype) -> np.ndarray:
    """Returns `[frames, features]` or `[features]`, not yet checked."""
    check_object(row, "a video", _video_keys(key))
    if key not in row:
        raise ValueError(f"'{key}' is missing.")
    value = row[key]
    content = decode_base64(value, key) if isinstance(value, dict) else None
    if key == "features":
        if content is None:
            return _to_float32(_numbers(value, width, key))
        return _features_of_bytes(content, width)
    frames: Any
    if content is not None:
        frames = _frames_of_bytes(content, width, kind)
    elif isinstance(value, list):
        frames = [
            _numbers(frame, width, f"frames[{index}]")
            for index, frame in enumerate(value)
        ]
    else:
        raise ValueError(
            f"frames must be a list of frames or an object of 'b64', got "
            f"{kind_of(value)}."
        )
    if "num_frames" in row:
        frames = frames[: _check_num_frames(row["num_frames"], len(frames))]
    return _stack(frames, width) if content is None else frames


def decode_base64(value: dict, key: str) -> bytes:
    """Returns the bytes of an object `{"b64": "..."}`."""
    check_object(value, key, ("b64",))
    encoded = value.get("b64")
    if not isinstance(encoded, str):
        raise ValueError(f"{key}.b64 must be a string, got {kind_of(encoded)}.")
    try:
        return base64.b64decode(encoded, validate=True)
    except ValueError as error:
        raise ValueError(f"{key}.b64 is not base64: {error}.") from error


def _frames_of_bytes(content: bytes, width: int, kind: np.dtype) -> np.ndarray:
    if len(content) % (width * kind.itemsize):
        raise ValueError(
            f"frames.b64 has {len(content)} bytes, not a multiple of a "
            f"frame's {width * kind.itemsize}."
        )
    values = np.frombuffer(content, kind.newbyteorder("<"))
    return values.reshape(-1, width)


def _features_of_bytes(content: bytes, width: int) -> np.ndarray:
    if len(content) != 4 * width:
        raise ValueError(
            f"features.b64 has {len(content)} bytes; {width} little-endian "
            f"float32 are {4 * width}."
        )
    return np.frombuffer(content, "<f4").astype(np.float32)


def _check_num_frames(num_frames: Any, given: int) -> int:
    if type(num_frames) is not int or not 1 <= num_frames <= given:
        is_number = type(num_frames) in (int, float)
        shown = num_frames if is_number else kind_of(num_frames)
        raise ValueError(
            f"num_frames must be a whole number from 1 to the {given} frames "
            f"given, got {shown}."
        )
    return num_frames


def _stack(frames: list[np.ndarray], width: int) -> np.ndarray:
    """Returns int64, bytes; or float32 if any number has a fraction."""
    if not frames:
        return np.zeros([0, width], np.uint8)
    video = np.stack(frames)
    return video if video.dtype == np.int64 else _to_float32(video)


def _to_float32(numbers: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):  # the check refuses infinity
        return numbers.astype(np.float32)


def _numbers(values: Any, width: int, place: str) -> np.ndarray:
    """Returns int64 where all are whole numbers, else float64."""
    if not isinstance(values, list):
        raise ValueError(
            f"{place} must be a list of numbers, got {kind_of(values)}."
        )
    if len(values) != width:
        raise ValueError(
            f"{place} has {len(values)} values instead of {width}."
        )
    kinds = set(map(type, values))
    if not kinds <= {int, float}:
        wrong = next(v for v in values if type(v) not in (int, float))
        raise ValueError(f"{place} must hold numbers, got {kind_of(wrong)}.")
    try:
        return np.array(values, np.int64 if kinds == {int} else np.float64)
    except OverflowError as error:
        raise ValueError(f"{place} holds too great a number.") from error


def kind_of(value: Any) -> str:
    """Returns the kind of a JSON value in words."""
    if value is None or isinstance(value, bool):
        return orjson.dumps(value).decode()
    words = {"dict": "an object", "list": "a list", "str": "a string"}
    return words.get(type(value).__name__, "a number")
