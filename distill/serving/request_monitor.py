"""Every request as a line of the access log and in the metrics."""

import logging
import sys
import time
import urllib.parse
from collections.abc import Collection

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from distill.serving.metrics import ServiceMetrics

_LOG = logging.getLogger("distill.serving.access")
_LOG.setLevel(logging.WARNING)  # silent until `start_access_log`
_LONGEST_PATH = 200


def start_access_log() -> None:
    """Lets the logger `distill.serving.access` print to standard output."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    _LOG.handlers = [handler]
    _LOG.setLevel(logging.INFO)
    _LOG.propagate = False


class RequestMonitor:
    """An ASGI middleware that logs and counts requests when they end.

    The application may write the request's `num_videos` to its `state`.
    """

    def __init__(
        self, app: ASGIApp, metrics: ServiceMetrics, paths: Collection[str]
    ):
        self._app = app
        self._metrics = metrics
        self._paths = frozenset(paths)

    async def __call__(
        self, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answers a request and reports it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500  # what the server answers where the application fails

        async def note_status(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        start = time.perf_counter()
        try:
            await self._app(scope, receive, note_status)
        finally:
            seconds = time.perf_counter() - start
            self._report(scope, status, seconds)

    def _report(self, scope: Scope, status: int, seconds: float) -> None:
        path = scope["path"]
        num_videos = scope.get("state", {}).get("num_videos", 0)
        # Any other path would be a time series of its own.
        label = path if path in self._paths else "other"
        self._metrics.count_request(label, status, num_videos, seconds)
        _LOG.info(
            "%s %s %s %d %d videos %.1f ms",
            (scope.get("client") or "-")[0],
            scope["method"],
            # A line break in the path must not begin a line of the log.
            urllib.parse.quote(path, safe="/:")[:_LONGEST_PATH],
            status,
            num_videos,
            1000 * seconds,
        )
