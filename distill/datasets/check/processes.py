"""Jobs in several processes; a process that dies is reported.

The processes are spawned: TensorFlow does not survive a fork. Ctrl-C reaches
the parent alone, which ends them.
"""

import contextlib
import itertools
import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    Future,
    ProcessPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnContext
from multiprocessing.process import BaseProcess
from typing import Any

from distill.models.argument_checks import check_at_least
from distill.system.captured_stderr import standard_error_kept_back

_work: Callable[[Any], Any]


def map_in_processes(
    make_work: Callable[[], Callable[[Any], Any]],
    jobs: Sequence[Any],
    num_processes: int,
    describe: Callable[[Any], str] = str,
) -> Generator[tuple[int, Any], None, None]:
    """Yields the number and the result of every job as it is done.

    No more jobs are handed out than there are processes, so no more results
    than that wait in memory.

    `make_work` is called once in every process and returns the function that
    does a job; it, the jobs and the results can be pickled. `describe` names a
    job in an error. No more processes are started than there are jobs.

    Raises:
      ValueError: A process ended before its job was done.
    """
    check_at_least(1, num_processes=num_processes)
    waiting = iter(range(len(jobs)))
    workers: list[_Worker] = []
    running: dict[Future, tuple[_Worker, int]] = {}
    try:
        for job in itertools.islice(waiting, num_processes):
            workers.append(_Worker(make_work))
            running[workers[-1].submit(jobs[job])] = workers[-1], job
        while running:
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                worker, job = running.pop(future)
                try:
                    result = future.result()
                except BrokenProcessPool:
                    raise ValueError(
                        f"{describe(jobs[job])}: the process that read it "
                        f"{worker.describe_end()}; give fewer --num_processes "
                        "if memory ran out."
                    ) from None
                following = next(waiting, None)
                if following is not None:
                    running[worker.submit(jobs[following])] = worker, following
                yield job, result
    finally:
        for worker in workers:
            worker.end()


class _RecordingContext(SpawnContext):
    """Keeps the process that it makes."""

    process: BaseProcess

    def Process(  # type: ignore[override]
        self, *args: Any, **kwargs: Any
    ) -> BaseProcess:
        """Makes a process, as a pool asks for one."""
        self.process = super().Process(*args, **kwargs)
        return self.process


class _Worker:
    """A pool of one process: if it dies, its job and its status are known."""

    def __init__(self, make_work: Callable[[], Callable[[Any], Any]]) -> None:
        context = _RecordingContext()
        # Pickled here, so that its imports run with stderr kept back.
        arguments = (pickle.dumps(make_work),)
        self._pool = ProcessPoolExecutor(1, context, _prepare, arguments)
        with _interrupts_blocked():
            try:
                self._pool.submit(os.getpid)  # starts the process
            except BrokenPipeError as error:
                raise ValueError(
                    "A process that reads records was ended while it started."
                ) from error
        self._process = context.process

    def submit(self, job: Any) -> Future:
        """Hands over a job; it fails if the process has ended before."""
        try:
            return self._pool.submit(_do, job)
        except BrokenProcessPool as error:
            failed: Future = Future()
            failed.set_exception(error)
            return failed

    def describe_end(self) -> str:
        """Says how the process ended."""
        self._pool.shutdown()
        status = self._process.exitcode
        if status is not None and status < 0:
            name = signal.Signals(-status).name
            return f"was ended by signal {-status} ({name})"
        return f"ended with status {status}"

    def end(self) -> None:
        """Ends the process, whatever it does."""
        self._process.kill()
        self._pool.shutdown()


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Blocks Ctrl-C here for a moment, and for good in a started process."""
    # Its start would unblock the signal again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _prepare(pickled_make_work: bytes) -> None:
    global _work
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with standard_error_kept_back():
        _work = pickle.loads(pickled_make_work)()


def _end_with_parent() -> None:
    """Ends this process, which else would wait for jobs, if the parent dies."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _do(job: Any) -> Any:
    return _work(job)
