"""The service's addresses: predictions, status, metadata, health."""

import asyncio
import concurrent.futures
import contextlib
import datetime
import functools
import http
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from distill.serving import answers, predict_requests
from distill.serving.batching import Batcher, Predict
from distill.serving.bodies import BODIES_HELD, BodyReader, ClosingResponse
from distill.serving.connections import PROGRESS_BYTES
from distill.serving.metrics import CONTENT_TYPE, ServiceMetrics
from distill.serving.predict_requests import PredictRequest
from distill.serving.request_monitor import RequestMonitor
from distill.settings.service import ServiceOptions

if TYPE_CHECKING:
    from distill.predictor import Predictor

_LOG = logging.getLogger("distill.serving")
# Bytes and numbers below which handing over to a thread costs more than work.
_SMALL_BODY = 32 * 1024
_SMALL_ANSWER = 4096
# About, as JSON holds a float32.
_BYTES_OF_NUMBER = 12
_WHAT_CLIENTS_SEE = (
    "frame_features",
    "num_features",
    "frame_type",
    "max_frames",
    "quantisation_range",
    "num_classes",
)


class Service:
    """Answers requests for one model.

    Attributes:
      app: The ASGI application.
      stopping: Whether the service is about to stop.
      batcher: Its `predicting` says whether the model is running.
      metrics: The service's counts.
      loaded_at: When the model was loaded, in UTC.
      unread_bytes: Returns the bytes of answers that clients have yet to
        read; beyond its argument it may drop those of clients that stall.
    """

    def __init__(self, predictor: "Predictor", options: ServiceOptions):
        self.options = options
        self.stopping = False
        self._predictor = predictor
        self.loaded_at = _now()
        self._bodies = BodyReader(
            options.max_body_bytes, options.client_timeout_seconds
        )
        self.metrics = ServiceMetrics(options.max_batch_size)
        self.batcher = Batcher(
            self._model_of(predictor),
            options.max_batch_size,
            options.batch_delay_ms / 1000,
            options.max_queue,
            self.metrics.queue_videos.set,
        )
        self.unread_bytes: Callable[[int], int] = lambda most: 0
        self._rendering_bytes = 0
        self._parsers = concurrent.futures.ThreadPoolExecutor(2, "parser")
        handlers: dict[Any, Callable] = {
            HTTPException: self._answer_error,
            Exception: self._answer_fault,
        }
        routes = self._routes()
        paths = [route.path for route in routes]
        self.app = Starlette(
            routes=routes,
            middleware=[Middleware(RequestMonitor, self.metrics, paths)],
            lifespan=self._lifespan,
            exception_handlers=handlers,
        )
        self.app.router.redirect_slashes = False

    def replace(self, predictor: "Predictor") -> None:
        """Lets another model predict the requests to come.

        Raises:
          ValueError: It reads other videos than the present one, or has other
            classes.
        """
        present = self._predictor.interface
        for name in _WHAT_CLIENTS_SEE:
            old, new = (
                getattr(interface.schema, name)
                for interface in (present, predictor.interface)
            )
            if old != new:
                raise ValueError(
                    f"{predictor.name} has {name} {new} instead of {old}; "
                    "restart the service to change that."
                )
        if predictor.class_names != present.class_names:
            raise ValueError(
                f"{predictor.name} has other class names than the model that "
                "serves; restart the service to change them."
            )
        self._predictor = predictor
        self.loaded_at = _now()
        self.batcher.model = self._model_of(predictor)

    def _routes(self) -> list[Route]:
        model = f"/v1/models/{self.options.model_name}"
        routes = [
            Route("/healthz", self._health),
            Route("/metrics", self._render_metrics),
        ]
        for place in (model, f"{model}/versions/{answers.VERSION}"):
            routes += [
                Route(f"{place}:predict", self._predict, methods=["POST"]),
                Route(place, self._status),
                Route(f"{place}/metadata", self._metadata),
            ]
        return routes

    @contextlib.asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        try:
            async with self.batcher:
                yield
        finally:
            self._parsers.shutdown(wait=False, cancel_futures=True)

    async def _health(self, request: Request) -> Response:
        if self.stopping:
            return JSONResponse({"error": "The service is stopping."}, 503)
        return JSONResponse({"status": "ok"})

    async def _render_metrics(self, request: Request) -> Response:
        return Response(self.metrics.render(), media_type=CONTENT_TYPE)

    async def _status(self, request: Request) -> Response:
        return JSONResponse(answers.model_status(self.stopping))

    async def _metadata(self, request: Request) -> Response:
        return JSONResponse(
            answers.model_metadata(
                self._predictor,
                self.options.model_name,
                self.options.top_k,
                self.loaded_at,
            )
        )

    async def _predict(self, request: Request) -> Response:
        try:
            return await self._answer(request)
        except HTTPException:
            raise
        except asyncio.CancelledError:
            if not self.stopping:
                raise
            # The server's time to stop is over.
            raise HTTPException(503, "The service has stopped.") from None
        except Exception:
            _LOG.exception("A request failed.")
            raise HTTPException(
                500, "The request failed; the server's log says why."
            ) from None

    async def _answer(self, request: Request) -> Response:
        async with self._bodies.read(request) as body:
            try:
                asked = await self._run(
                    len(body) < _SMALL_BODY,
                    predict_requests.read_request,
                    body,
                    self._predictor,
                )
            except ValueError as error:
                raise HTTPException(400, str(error)) from error
        request.state.num_videos = num_videos = len(asked.videos)
        if num_videos > self.options.max_queue:
            raise HTTPException(
                413,
                f"The request has {num_videos} videos; at most "
                f"{self.options.max_queue} are taken.",
            )
        with self._room_for_answer(asked):
            content = await self._predict_content(asked)
        return Response(content, media_type="application/json")

    @contextlib.contextmanager
    def _room_for_answer(self, asked: PredictRequest) -> Iterator[None]:
        """Counts a large answer's bytes until it is rendered.

        Raises:
          HTTPException: Too many bytes of large answers are being rendered, or
            wait for their clients to read them.
        """
        size = _BYTES_OF_NUMBER * self._count_numbers(asked)
        if size > PROGRESS_BYTES:
            most = BODIES_HELD * self.options.max_body_bytes
            held = self._rendering_bytes + self.unread_bytes(most)
            if held and held + size > most:
                raise HTTPException(
                    503,
                    "Too many answers wait to be read; try later.",
                    {"Retry-After": "1"},
                )
        self._rendering_bytes += size
        try:
            yield
        finally:
            self._rendering_bytes -= size

    def _count_numbers(self, asked: PredictRequest) -> int:
        """Returns how many numbers an answer holds, about."""
        num_classes = self._predictor.num_classes
        top_k = min(self.options.top_k, num_classes)
        return len(asked.videos) * (num_classes if asked.full else top_k)

    async def _predict_content(self, asked: PredictRequest) -> bytes:
        try:
            probabilities = await self.batcher.predict(asked.videos)
        except asyncio.QueueFull as error:
            raise HTTPException(
                503, "The queue is full; try later.", {"Retry-After": "1"}
            ) from error
        return await self._run(
            self._count_numbers(asked) < _SMALL_ANSWER,
            answers.render_predictions,
            probabilities,
            asked,
            self._predictor.class_names,
            self.options.top_k,
        )

    def _model_of(self, predictor: "Predictor") -> Predict:
        return functools.partial(self._predict_videos, predictor)

    def _predict_videos(
        self, predictor: "Predictor", videos: list[np.ndarray]
    ) -> np.ndarray:
        self.metrics.batch_videos.observe(len(videos))
        return predictor.probabilities(videos)

    async def _run(self, is_small: bool, function: Callable, *args: Any) -> Any:
        """Calls a function here if its work is small, else in a thread."""
        if is_small:
            return function(*args)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._parsers, function, *args)

    async def _answer_error(
        self, request: Request, error: HTTPException
    ) -> Response:
        headers = error.headers or {}
        kind = ClosingResponse if "Connection" in headers else JSONResponse
        content = {"error": self._message(request, error)}
        return kind(content, error.status_code, headers)

    def _message(self, request: Request, error: HTTPException) -> str:
        status = http.HTTPStatus(error.status_code)
        asked = f"{request.method} {request.url.path[:200]}"
        if error.detail != status.phrase:
            return error.detail
        if status == http.HTTPStatus.METHOD_NOT_ALLOWED:
            allowed = (error.headers or {}).get("Allow", "")
            return f"{asked} is not allowed; allowed: {allowed}."
        return (
            f"There is nothing at {asked}. The model here is "
            f"{self.options.model_name!r}, version {answers.VERSION}: POST "
            f"/v1/models/{self.options.model_name}:predict."
        )

    async def _answer_fault(
        self, request: Request, error: Exception
    ) -> Response:
        return JSONResponse(
            {"error": "The server's log says what failed."}, 500
        )


def _now() -> str:
    now = datetime.datetime.now(datetime.UTC)
    return now.isoformat(" ", "seconds").removesuffix("+00:00") + " UTC"
