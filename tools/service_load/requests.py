"""Requests for a load test: good ones with their answers, malformed ones."""

import base64
import dataclasses
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from distill.predictor import Predictor

_MAX_VIDEOS = 3


@dataclasses.dataclass(frozen=True)
class LoadRequest:
    """A request and the expected answer.

    Attributes:
      kind: `good`, or what is malformed, in words.
      path: Path of the URL.
      body: Content of the request.
      status: Expected HTTP status.
      probabilities: Expected float32 `[videos, classes]` of a good request;
        None for a malformed one.
      columnar: The answer of a good request is in the columnar format.
      method: HTTP method.
      headers: HTTP headers.
    """

    kind: str
    path: str
    body: bytes
    status: int = 200
    probabilities: np.ndarray | None = None
    columnar: bool = False
    method: str = "POST"
    headers: dict[str, str] = dataclasses.field(default_factory=dict)


class LoadRequests:
    """Draws requests for a predictor's service.

    Args:
      predictor: The model that the service serves.
      model_name: The model's name in the service.
      seed: Seed of the requests.
    """

    def __init__(self, predictor: "Predictor", model_name: str, seed: int):
        self._predictor = predictor
        self._place = f"/v1/models/{model_name}"
        self._random = np.random.default_rng(seed)
        self._key = "frames" if predictor.frame_features else "features"

    def good(self, number: int) -> list[LoadRequest]:
        """Returns good requests with the answers of the predictor.

        Each has 1 to 3 videos of any length, as lists of bytes, lists of
        floats or base64, in either format; some videos are padded.
        """
        return [self._good_request() for _ in range(number)]

    def _good_request(self) -> LoadRequest:
        num_videos = int(self._random.integers(1, _MAX_VIDEOS + 1))
        videos, rows = [], []
        for _ in range(num_videos):
            video, row = self._video()
            videos.append(self._predictor.check(video))
            rows.append(row)
        columnar = bool(self._random.random() < 0.3)
        body: dict[str, Any] = {"instances": rows}
        if columnar:
            keys = rows[0].keys()
            body = {"inputs": {k: [row[k] for row in rows] for k in keys}}
        if self._random.random() < 0.2:
            body["parameters"] = {"full": True}
        return LoadRequest(
            "good",
            f"{self._place}:predict",
            json.dumps(body).encode(),
            probabilities=self._predictor.probabilities(videos),
            columnar=columnar,
        )

    def _video(self) -> tuple[np.ndarray, dict[str, Any]]:
        """Returns a video and its row in a request."""
        width = self._predictor.num_features
        encoded = self._random.random() < 0.5
        if not self._predictor.frame_features:
            vector = self._random.normal(size=width).astype(np.float32)
            value = _encode(vector) if encoded else vector.tolist()
            return vector, {"features": value}
        most = self._predictor.max_frames
        length, held = np.sort(self._random.integers(1, most + 1, size=2))
        frames: np.ndarray = self._random.integers(0, 256, (held, width))
        frames = frames.astype(np.uint8)
        if encoded:
            value = _encode(frames.astype(self._predictor.frame_type))
        elif self._random.random() < 0.3:
            frames = self._random.uniform(-2, 2, (held, width)).round(3)
            value = frames.tolist()
            frames = frames.astype(np.float32)
        else:
            value = frames.tolist()
        row = {"frames": value, "num_frames": int(length)}
        return frames[:length], row

    def malformed(self) -> list[LoadRequest]:
        """Returns one malformed request of every kind."""
        predict = f"{self._place}:predict"
        requests = [
            LoadRequest(kind, predict, _to_bytes(body), 400)
            for kind, body in self._bad_bodies()
        ]
        body = json.dumps({"instances": [self._video()[1]]}).encode()
        too_long = {"Content-Length": str(2**50)}
        gzip = {"Content-Encoding": "gzip"}
        return [
            *requests,
            LoadRequest("unknown model", "/v1/models/no:predict", body, 404),
            LoadRequest("unknown verb", f"{self._place}:guess", body, 404),
            LoadRequest("unknown path", "/v2", b"", 404, method="GET"),
            LoadRequest("wrong method", predict, b"", 405, method="GET"),
            LoadRequest("endless body", predict, b"", 413, headers=too_long),
            LoadRequest("encoded body", predict, body, 415, headers=gzip),
        ]

    def _bad_bodies(self) -> Iterator[tuple[str, Any]]:
        """Yields a kind and a body: an object for JSON, or bytes."""
        key, width = self._key, self._predictor.num_features
        good = self._video()[1]
        yield "cut off", json.dumps({"instances": [good]}).encode()[:-3]
        yield "no UTF-8", b'{"instances": "\xff"}'
        yield "deeply nested", b'{"instances": ' + b"[" * 5000
        yield "no object", [1, 2]
        yield "no instances", {"instances": []}
        yield "neither format", {}
        yield "both formats", {"instances": [good], "inputs": {}}
        yield "unknown key", {"instances": [good], "examples": []}
        yield "unknown signature", {"instances": [good], "signature_name": "x"}
        yield "missing key", {"instances": [{}]}
        yield "unknown input", {"instances": [good | {"labels": [1]}]}
        yield "bad base64", {"instances": [{key: {"b64": "?"}}]}
        odd = _encode(np.zeros(width + 1, np.uint8))
        yield "odd base64", {"instances": [{key: odd}]}
        yield "one bad of two", {"instances": [good, {key: []}]}
        yield "columns differ", {"inputs": {"num_frames": [1, 2], key: [1]}}
        frame = [1] * width
        for kind, values in {
            "wrong width": [*frame, 1],
            "a null": [*frame[:-1], None],
            "a string": [*frame[:-1], "1"],
            "a NaN": [*frame[:-1], float("nan")],
            "an infinity": [*frame[:-1], float("inf")],
        }.items():
            value = values if key == "features" else [values]
            yield kind, {"instances": [{key: value}]}
        if key == "frames":
            yield "no frames", {"instances": [{key: []}]}
            if self._predictor.frame_type == "uint8":
                yield "no byte", {"instances": [{key: [[256] * width]}]}
                far = [1e6] * width
                yield "out of range", {"instances": [{key: [far]}]}
            too_long = {key: [frame], "num_frames": 2}
            yield "num_frames too great", {"instances": [too_long]}


def _encode(values: np.ndarray) -> dict[str, str]:
    return {"b64": base64.b64encode(values.tobytes()).decode()}


def _to_bytes(body: Any) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body).encode()
