"""Runs the service: listens, announces readiness, stops gracefully."""

import asyncio
import contextlib
import functools
import os
import signal
import socket
import sys
import time
import types
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, cast

import uvicorn

from distill.extraction.video_queue import VideoQueue
from distill.serving.acceptor import Acceptor
from distill.serving.connections import (
    IDLE_SECONDS,
    ClientConnection,
    Connections,
    most_connections,
)
from distill.serving.quiet_log import quieten_log, report_fault
from distill.serving.reloading import Reloader, load_checked
from distill.serving.request_monitor import start_access_log
from distill.serving.service import Service
from distill.settings.service import ServiceOptions

if TYPE_CHECKING:
    from distill.predictor import Predictor

LoadVideos = Callable[[], VideoQueue]

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_LAST_PORT = 65535


def open_socket(host: str, port: int) -> socket.socket:
    """Returns a socket at an address; port 0 takes a free one.

    Raises:
      ValueError: The port is out of range.
      OSError: The address does not exist or is taken.
    """
    if not 0 <= port <= _LAST_PORT:
        raise ValueError(f"port must be from 0 to {_LAST_PORT}, got {port}.")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # asyncio sets TCP_NODELAY only on sockets that name their protocol.
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise OSError(f"{host}:{port}: {error.strerror}.") from error
    return listener


def announce(
    listener: socket.socket, options: ServiceOptions, model: str
) -> None:
    """Prints the line that says that the service of a model is ready."""
    host, port = listener.getsockname()[:2]
    host = f"[{host}]" if ":" in host else host
    print(
        f"serving {model} at http://{host}:{port}/v1/models/"
        f"{options.model_name}",
        flush=True,
    )


def serve(
    load: Callable[[], "Predictor"],
    options: ServiceOptions,
    listener: socket.socket,
    when_ready: Callable[["Server"], None],
    load_videos: LoadVideos | None = None,
) -> None:
    """Answers requests in this process until SIGTERM or SIGINT.

    Then it stops listening, answers the accepted requests and returns. If the
    model does not finish within the timeout, the process exits with status 1.
    At SIGHUP it loads the model again.

    Args:
      load: Loads the model.
      options: The service's name and limits.
      listener: A socket of `open_socket`; it is closed in the end.
      when_ready: Called in the event loop when requests are answered.
      load_videos: Loads what extracts the features of video files; None to
        take none.
    """
    # A broken model fails here, before the service is announced.
    server = make_server(load, options, when_ready, load_videos)
    if options.access_log:
        start_access_log()
    quieten_log()
    server.run([listener])
    if server.service.batcher.predicting:
        # A normal exit would wait for the model's thread.
        print(
            "ERROR: The model had not answered "
            f"{options.stop_timeout_seconds} seconds after the stop.",
            file=sys.stderr,
            flush=True,
        )
        os._exit(1)


def make_server(
    load: Callable[[], "Predictor"],
    options: ServiceOptions,
    when_ready: Callable[["Server"], None],
    load_videos: LoadVideos | None = None,
) -> "Server":
    """Returns a server that is not running yet; `serve` has the arguments."""
    predictor = load_checked(load)
    videos = None if load_videos is None else load_videos()
    service = Service(predictor, options, videos)
    connections = Connections(
        most_connections(options.max_connections, service.most_video_files),
        options.client_timeout_seconds,
        service.metrics.connections.set,
        service.metrics.count_closed,
    )
    service.unread_bytes = connections.unread_bytes
    config = uvicorn.Config(
        service.app,
        loop="asyncio",
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=options.stop_timeout_seconds,
    )
    reloader = Reloader(load, service)
    return Server(config, service, connections, reloader, when_ready)


class Server(uvicorn.Server):
    """Uvicorn's server, which announces its stop and ends with status 0.

    Uvicorn's own raises the signal again once it has stopped; that would kill
    the process.

    Attributes:
      service: What it serves.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        service: Service,
        connections: Connections,
        reloader: Reloader,
        when_ready: Callable[["Server"], None],
    ):
        super().__init__(config)
        self.service = service
        self._connections = connections
        self._reloader = reloader
        self._is_reload_asked = False
        self._when_ready = when_ready
        self._stop_at: float | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts listening and says so."""
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            raise OSError("The service could not start; its log says why.")
        asyncio.get_running_loop().set_exception_handler(report_fault)
        self._connections.start()
        make_protocol = functools.partial(
            ClientConnection,
            self._connections,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        self.servers = [
            # Uvicorn closes them and waits for them, as for asyncio's own.
            cast(
                asyncio.Server,
                Acceptor(listener, self._connections, make_protocol),
            )
            for listener in sockets or ()
        ]
        self.started = True
        self._when_ready(self)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Lets signals stop the server as long as it runs."""
        before = {s: signal.signal(s, self.handle_exit) for s in _SIGNALS}
        before[signal.SIGHUP] = signal.signal(signal.SIGHUP, self._ask_reload)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: types.FrameType | None) -> None:
        """Begins to stop; a second signal skips the delay."""
        if self.service.stopping:
            super().handle_exit(sig, frame)
        else:
            self.begin_stop()

    def _ask_reload(self, sig: int, frame: types.FrameType | None) -> None:
        self._is_reload_asked = True

    def begin_stop(self) -> None:
        """Begins to stop, unless that has begun already."""
        if not self.service.stopping:
            self.service.stopping = True
            delay = self.service.options.stop_delay_seconds
            self._stop_at = time.monotonic() + delay

    async def on_tick(self, counter: int) -> bool:
        """Begins a reload that was asked for; returns whether to stop."""
        if self._is_reload_asked:
            self._is_reload_asked = False
            self._reloader.begin()
        if self._stop_at is not None and time.monotonic() >= self._stop_at:
            self.should_exit = True
        return await super().on_tick(counter)
