"""A predictor of known answers, and the service around it without a port."""

import asyncio
import contextlib
import dataclasses
import threading

import httpx
import numpy as np

from distill.deployment.interface import VideoInterface
from distill.models.frame_budget import FrameBudget
from distill.predictor import Predictor
from distill.serving.service import Service
from distill.settings.schema import DataSchema
from distill.settings.service import ServiceOptions
from tests.hang_guard import HANG_SECONDS

WIDTH = 4
MAX_FRAMES = 5
NUM_CLASSES = 6
PREDICT = "/v1/models/student:predict"
RELEASED = threading.Event()
_SCHEMA = DataSchema(
    frame_features=True,
    feature_names=("rgb", "audio"),
    feature_sizes=(3, 1),
    id_key="id",
    labels_key="labels",
    num_classes=NUM_CLASSES,
    max_frames=MAX_FRAMES,
)
_VIDEO_LEVEL = dataclasses.replace(_SCHEMA, frame_features=False)


class FakeRuntime:
    """Predicts (16 * c + mean / 16) / 100 for class c of a video.

    The first frame's value may ask for more: 13 raises an error, 66 says that
    the model begins and waits for `RELEASED`, 99 gives NaN.

    Attributes:
      calls: The number of videos of every call.
    """

    def __init__(self):
        self.calls = []
        self.gate = None

    def __call__(self, inputs):
        values = inputs.get("frames", inputs.get("features"))
        self.calls.append(len(values))
        if self.gate is not None:
            self.gate.wait(HANG_SECONDS)
        first = values.reshape(len(values), -1)[:, :WIDTH]
        first = np.where(np.ptp(first, axis=1) == 0, first[:, 0], 0)
        if (first == 13).any():
            raise RuntimeError("a secret of the model")
        if (first == 66).any():
            print("the model begins", flush=True)
            RELEASED.wait(HANG_SECONDS)
        lengths = inputs.get("num_frames", np.ones(len(values)))
        sums = values.reshape(len(values), -1).sum(axis=1, dtype=np.float64)
        means = sums / lengths / WIDTH
        classes = 16 * np.arange(NUM_CLASSES)
        predictions = (classes[None] + means[:, None] / 16) / 100
        predictions[first == 99] = np.nan
        return predictions.astype(np.float32)


def expected(mean):
    """Returns the probabilities of a video of that mean."""
    return (16 * np.arange(NUM_CLASSES) + mean / 16) / 100


def fake_predictor(frame_features=True):
    """Returns a predictor of 6 classes for 5 frames of 4 values, or for 4."""
    schema = _SCHEMA if frame_features else _VIDEO_LEVEL
    names = tuple(f"class {index}" for index in range(NUM_CLASSES))
    interface = VideoInterface(schema, FrameBudget(), names)
    return Predictor(FakeRuntime(), interface, "fake.onnx")


@contextlib.asynccontextmanager
async def running(predictor, videos=None, **options):
    """Gives a client of a running service, and the service."""
    options = ServiceOptions(**{"top_k": 3} | options)
    service = Service(predictor, options, videos)
    transport = httpx.ASGITransport(service.app, raise_app_exceptions=False)
    async with (
        service.app.router.lifespan_context(service.app),
        httpx.AsyncClient(
            transport=transport, base_url="http://test"
        ) as client,
    ):
        yield client, service


def ask(method, path, predictor=None, options=None, videos=None, **request):
    """Returns the answer to one request."""

    async def answer():
        service = running(
            predictor or fake_predictor(), videos, **options or {}
        )
        async with service as (client, _):
            return await client.request(method, path, **request)

    return asyncio.run(answer())


def post(body, **kwargs):
    """Returns the answer to a predict request."""
    key = "content" if isinstance(body, bytes) else "json"
    return ask("POST", kwargs.pop("path", PREDICT), **{key: body}, **kwargs)


def constant(value, num_frames=2):
    """Returns the frames of a video that holds one value."""
    return [[value] * WIDTH] * num_frames
