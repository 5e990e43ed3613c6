"""The service's addresses: predictions, status, metadata, health, a page."""

import asyncio
import concurrent.futures
import contextlib
import functools
import http
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from distill.extraction.video_queue import VideoQueue
from distill.serving import answers, predict_requests
from distill.serving.batching import Batcher, Predict
from distill.serving.bodies import (
    BODIES_HELD,
    CLOSE,
    BodyReader,
    ClosingResponse,
)
from distill.serving.connections import PROGRESS_BYTES
from distill.serving.metrics import CONTENT_TYPE, ServiceMetrics
from distill.serving.page import PAGE_HEADERS, render_page
from distill.serving.predict_requests import PredictRequest
from distill.serving.request_monitor import RequestMonitor
from distill.serving.served_model import ServedModel
from distill.serving.video_requests import VideoRequests
from distill.settings.service import ServiceOptions

if TYPE_CHECKING:
    from distill.predictor import Predictor

_LOG = logging.getLogger("distill.serving")
# Bytes and numbers below which handing over to a thread costs more than work.
_SMALL_BODY = 32 * 1024
_SMALL_ANSWER = 4096
# About, as JSON holds a float32.
_BYTES_OF_NUMBER = 12
_BUSY = {"Retry-After": "1"}
_NO_VIDEOS = (
    "The service takes no video files: it was started without "
    "--extractor_file (the extractor.json of `distill extract`)."
)


class Service:
    """Answers requests for one model.

    Attributes:
      app: The ASGI application.
      stopping: Whether the service is about to stop.
      batcher: Its `predicting` says whether the model is running.
      metrics: The service's counts.
      unread_bytes: Returns the bytes of answers that clients have yet to
        read; beyond its argument it may drop those of clients that stall.
    """

    def __init__(
        self,
        predictor: "Predictor",
        options: ServiceOptions,
        video_queue: VideoQueue | None = None,
    ):
        """Makes the service.

        Args:
          predictor: The model.
          options: Name and limits.
          video_queue: Extracts what the model reads of video files; None to
            take none.

        Raises:
          ValueError: The model does not read what is extracted.
        """
        self.options = options
        self.stopping = False
        self._bodies = BodyReader(
            options.max_body_bytes, options.client_timeout_seconds
        )
        self.metrics = ServiceMetrics(options.max_batch_size)
        self._video_queue = video_queue
        self._model = self._serve(predictor)
        self.batcher = Batcher(
            self._model.predict,
            options.max_batch_size,
            options.batch_delay_ms / 1000,
            options.max_queue,
            self.metrics.queue_videos.set,
        )
        self.unread_bytes: Callable[[int], int] = lambda most: 0
        self._rendering_bytes = 0
        self._parsers = concurrent.futures.ThreadPoolExecutor(2, "parser")
        self._videos: VideoRequests | None = None
        if video_queue is not None:
            self._videos = VideoRequests(
                video_queue, self._bodies, self._parsers, options, self.metrics
            )
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
        self._model.check_successor(predictor)
        self._model = self._serve(predictor)
        self.batcher.model = self._model.predict

    def _serve(self, predictor: "Predictor") -> ServedModel:
        reader = None
        if self._video_queue is not None:
            interface = predictor.interface
            reader = self._video_queue.reader_of(
                interface.schema, interface.budget
            )
        observe = self.metrics.batch_videos.observe
        return ServedModel.of(predictor, reader, observe)

    @property
    def loaded_at(self) -> str:
        """When the model was loaded, in UTC."""
        return self._model.loaded_at

    @property
    def most_video_files(self) -> int:
        """The most files that are open for video files."""
        return self._videos.most_files if self._videos else 0

    @property
    def _predictor(self) -> "Predictor":
        return self._model.predictor

    def _routes(self) -> list[Route]:
        model = f"/v1/models/{self.options.model_name}"
        routes = [
            Route("/healthz", self._health),
            Route("/metrics", self._render_metrics),
        ]
        if self._videos is not None:
            routes.append(Route("/", self._show_page))
        predict = functools.partial(self._predict, self._answer)
        of_file = functools.partial(self._predict, self._answer_video_file)
        for place in (model, f"{model}/versions/{answers.VERSION}"):
            routes += [
                Route(f"{place}:predict", predict, methods=["POST"]),
                Route(f"{place}:predict_video", of_file, methods=["POST"]),
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
            if self._videos is not None:
                await asyncio.to_thread(self._videos.close)

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
                self._videos.limits if self._videos else None,
            )
        )

    async def _show_page(self, request: Request) -> Response:
        assert self._videos is not None
        page = render_page(self._predictor, self.options, self._videos.limits)
        return Response(page, headers=PAGE_HEADERS)

    async def _predict(
        self,
        answer: Callable[[Request], Awaitable[Response]],
        request: Request,
    ) -> Response:
        try:
            return await answer(request)
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

    async def _answer_video_file(self, request: Request) -> Response:
        if self._videos is None:
            raise HTTPException(501, _NO_VIDEOS, CLOSE)
        asked = await self._videos.read(request, lambda: self._model)
        request.state.num_videos = 1
        begin = time.perf_counter()
        probabilities = await self._predict_videos(
            [asked.video], asked.model.predict
        )
        content = answers.render_video_file(
            probabilities, asked, time.perf_counter() - begin
        )
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
                    _BUSY,
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
        probabilities = await self._predict_videos(asked.videos)
        return await self._run(
            self._count_numbers(asked) < _SMALL_ANSWER,
            answers.render_predictions,
            probabilities,
            asked,
            self._predictor.class_names,
            self.options.top_k,
        )

    async def _predict_videos(
        self, videos: list[np.ndarray], model: Predict | None = None
    ) -> np.ndarray:
        try:
            return await self.batcher.predict(videos, model)
        except asyncio.QueueFull as error:
            raise HTTPException(
                503, "The queue is full; try later.", _BUSY
            ) from error

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
