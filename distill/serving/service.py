"""The service's addresses: predictions, status, metadata, health."""

import asyncio
import concurrent.futures
import contextlib
import http
import logging
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from distill.serving import answers, predict_requests
from distill.serving.batching import Batcher
from distill.serving.bodies import BodyReader, ClosingResponse
from distill.serving.metrics import CONTENT_TYPE, ServiceMetrics
from distill.serving.request_monitor import RequestMonitor
from distill.settings.service import ServiceOptions

if TYPE_CHECKING:
    from distill.predictor import Predictor

_LOG = logging.getLogger("distill.serving")
# Bytes and numbers below which handing over to a thread costs more than work.
_SMALL_BODY = 32 * 1024
_SMALL_ANSWER = 4096


class Service:
    """Answers requests for one model.

    Attributes:
      app: The ASGI application.
      stopping: Whether the service is about to stop.
      batcher: Its `predicting` says whether the model is running.
    """

    def __init__(self, predictor: "Predictor", options: ServiceOptions):
        self.options = options
        self.stopping = False
        self._predictor = predictor
        self._bodies = BodyReader(options.max_body_bytes)
        self._metrics = ServiceMetrics(options.max_batch_size)
        self.batcher = Batcher(
            self._predict_videos,
            options.max_batch_size,
            options.batch_delay_ms / 1000,
            options.max_queue,
            self._metrics.queue_videos.set,
        )
        self._parsers = concurrent.futures.ThreadPoolExecutor(2, "parser")
        handlers: dict[Any, Callable] = {
            HTTPException: self._answer_error,
            Exception: self._answer_fault,
        }
        routes = self._routes()
        paths = [route.path for route in routes]
        self.app = Starlette(
            routes=routes,
            middleware=[Middleware(RequestMonitor, self._metrics, paths)],
            lifespan=self._lifespan,
            exception_handlers=handlers,
        )
        self.app.router.redirect_slashes = False

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
        return Response(self._metrics.render(), media_type=CONTENT_TYPE)

    async def _status(self, request: Request) -> Response:
        return JSONResponse(answers.model_status(self.stopping))

    async def _metadata(self, request: Request) -> Response:
        return JSONResponse(
            answers.model_metadata(
                self._predictor, self.options.model_name, self.options.top_k
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
        try:
            probabilities = await self.batcher.predict(asked.videos)
        except asyncio.QueueFull as error:
            raise HTTPException(
                503, "The queue is full; try later.", {"Retry-After": "1"}
            ) from error
        top_k = self.options.top_k
        size = num_videos * (probabilities.shape[1] if asked.full else top_k)
        content = await self._run(
            size < _SMALL_ANSWER,
            answers.render_predictions,
            probabilities,
            asked,
            self._predictor.class_names,
            top_k,
        )
        return Response(content, media_type="application/json")

    def _predict_videos(self, videos: list[np.ndarray]) -> np.ndarray:
        self._metrics.batch_videos.observe(len(videos))
        return self._predictor.probabilities(videos)

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
