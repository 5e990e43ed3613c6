"""Several processes that answer on one port, and their supervisor."""

import asyncio
import contextlib
import functools
import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import types
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import connection
from typing import TYPE_CHECKING, cast

from prometheus_client.multiprocess import mark_process_dead

from distill.serving.metrics import DIRECTORY_VARIABLE
from distill.serving.server import LoadVideos, Server, serve
from distill.settings.service import ServiceOptions
from distill.system.signals import signals_handled_by

if TYPE_CHECKING:
    from distill.predictor import Predictor

# A fork would copy the locks of the model's threads without the threads.
_PROCESSES = multiprocessing.get_context("spawn")
_TICK_SECONDS = 0.1
_HELD_SIGNALS = (signal.SIGINT, signal.SIGHUP)


def serve_in_workers(
    load: Callable[[], "Predictor"],
    options: ServiceOptions,
    listener: socket.socket,
    when_ready: Callable[[], None],
    load_videos: LoadVideos | None = None,
) -> int:
    """Answers requests in several processes until SIGTERM or SIGINT.

    A worker that ends by itself is replaced. At the signal every worker stops
    as `serve` does; a second signal skips the delay. At SIGHUP every worker
    loads the model again. Workers whose supervisor is killed stop too.

    Args:
      load: Loads the model, in each worker; it can be pickled.
      options: The service's name, limits and number of workers.
      listener: A socket of `open_socket`; it is closed in the end.
      when_ready: Called when all workers answer requests.
      load_videos: As in `serve`; it can be pickled.

    Returns:
      The exit status: 1 if a worker did not stop as it should, or 0.

    Raises:
      ValueError: A worker cannot load or run the model.
    """
    workers: list[_Worker] = []
    start = functools.partial(_Worker, load, options, listener, load_videos)
    with _metrics_directory() as directory:
        try:
            # What fails for one fails for all, and is reported once.
            workers.append(start())
            workers[0].wait()
            for _ in range(options.workers - 1):
                workers.append(start())
            for worker in workers:
                worker.wait()
            signals: list[int] = []
            reloads: list[int] = []

            def take(number: int, frame: types.FrameType | None) -> None:
                (reloads if number == signal.SIGHUP else signals).append(number)

            # Under nohup SIGHUP is ignored until here.
            signal.signal(signal.SIGHUP, take)
            with signals_handled_by(take):
                when_ready()
                while not signals:
                    if reloads:
                        reloads.clear()
                        _reload(workers)
                    _replace_ended(workers, start, directory)
                    _wait_for_end(workers)
                listener.close()
                _stop(workers, signals)
        finally:
            for worker in workers:
                worker.process.kill()
                worker.process.join()
    return int(any(worker.process.exitcode for worker in workers))


def _replace_ended(
    workers: list["_Worker"], start: Callable[[], "_Worker"], directory: str
) -> None:
    """Starts a worker for each that has ended, whose counts are kept."""
    for index, worker in enumerate(workers):
        if worker.has_ended():
            mark_process_dead(worker.process.pid, directory)
            workers[index] = start()


def _reload(workers: Sequence["_Worker"]) -> None:
    """Lets workers load the model again, once they answer requests."""
    for worker in workers:
        if worker.process.is_alive():
            os.kill(cast(int, worker.process.pid), signal.SIGHUP)


def _stop(workers: Sequence["_Worker"], signals: Sequence[int]) -> None:
    """Stops workers and waits for their ends."""
    for worker in workers:
        worker.pipe.close()
    is_urgent = False
    while any(worker.process.is_alive() for worker in workers):
        _wait_for_end(workers)
        if len(signals) > 1 and not is_urgent:
            is_urgent = True
            for worker in workers:
                worker.process.terminate()


def _wait_for_end(workers: Sequence["_Worker"]) -> None:
    """Waits until a worker ends, for a tick at most."""
    alive = [w.process.sentinel for w in workers if w.process.is_alive()]
    connection.wait(alive, _TICK_SECONDS)


@contextlib.contextmanager
def _metrics_directory() -> Iterator[str]:
    """Gives a directory where the processes started meanwhile count."""
    with tempfile.TemporaryDirectory(prefix="distill-metrics-") as directory:
        os.environ[DIRECTORY_VARIABLE] = directory
        try:
            yield directory
        finally:
            del os.environ[DIRECTORY_VARIABLE]


class _Worker:
    """A process that answers requests.

    Attributes:
      process: The process.
      pipe: Says whether it is ready; it stops when the pipe is closed.
    """

    def __init__(
        self,
        load: Callable[[], "Predictor"],
        options: ServiceOptions,
        listener: socket.socket,
        load_videos: LoadVideos | None,
    ):
        self.pipe, theirs = _PROCESSES.Pipe()
        self.process = _PROCESSES.Process(
            target=_work,
            args=(load, options, listener, load_videos, theirs),
        )
        self._is_ready = False
        # The supervisor reports a Ctrl-C while a worker loads. A reload waits.
        signal.pthread_sigmask(signal.SIG_BLOCK, _HELD_SIGNALS)
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD_SIGNALS)
        theirs.close()

    def wait(self) -> None:
        """Waits until it answers requests.

        Raises:
          ValueError: It cannot.
        """
        if self._is_ready:
            return
        try:
            error = self.pipe.recv()
        except EOFError:
            self.process.join()
            error = (
                f"A worker ended with status {self.process.exitcode} before "
                "it was ready."
            )
        if error is not None:
            raise ValueError(error)
        self._is_ready = True

    def has_ended(self) -> bool:
        """Returns whether it ended after it was ready, and says so.

        Raises:
          ValueError: It ended before.
        """
        if self.pipe.poll():
            self.wait()
        if self.process.is_alive():
            return False
        print(
            f"WARNING: Worker {self.process.pid} ended with status "
            f"{self.process.exitcode}; another one starts.",
            file=sys.stderr,
            flush=True,
        )
        return True


def _work(
    load: Callable[[], "Predictor"],
    options: ServiceOptions,
    listener: socket.socket,
    load_videos: LoadVideos | None,
    pipe: connection.Connection,
) -> None:
    """Serves in this process; sends None when it is ready, or an error."""

    def tell(message: str | None) -> None:
        # The supervisor may have closed its end meanwhile, to stop.
        with contextlib.suppress(ConnectionError):
            pipe.send(message)

    def report(server: Server) -> None:
        tell(None)
        loop = asyncio.get_running_loop()

        def stop() -> None:
            loop.remove_reader(pipe.fileno())
            server.begin_stop()

        loop.add_reader(pipe.fileno(), stop)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HELD_SIGNALS)

    try:
        serve(load, options, listener, report, load_videos)
    except (ValueError, OSError) as error:
        tell(str(error))
