"""Work on many files in several processes, none of which can get lost.

Processes of their own, not forks: TensorFlow does not survive one. Ctrl-C
reaches the parent alone, which ends them.
"""

import contextlib
import dataclasses
import itertools
import multiprocessing
import pickle
import signal
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import connection, resource_tracker
from typing import Any

from distill.models.argument_checks import check_at_least
from distill.system.captured_stderr import standard_error_kept_back

_SECONDS_TO_END = 5


@dataclasses.dataclass
class _Worker:
    """A process, the parent's end of its pipe and the job it is at."""

    process: Any
    pipe: connection.Connection
    job: int | None = None


def map_in_processes(
    make_work: Callable[[], Callable[[Any], Any]],
    jobs: Sequence[Any],
    num_processes: int,
    describe: Callable[[Any], str] = str,
) -> Iterator[tuple[int, Any]]:
    """Yields the number and the result of every job as it is done.

    Args:
      make_work: Called once in every process; returns what does a job. Can be
        pickled, as can jobs and results.
      jobs: What there is to do.
      num_processes: Processes, of which no more are started than jobs.
      describe: Names a job in an error.

    Raises:
      ValueError: A process ended before its job was done.
    """
    check_at_least(1, num_processes=num_processes)
    waiting = iter(range(len(jobs)))
    workers: list[_Worker] = []
    try:
        for job in itertools.islice(waiting, num_processes):
            workers.append(_start(make_work))
            _give(workers[-1], job, jobs)
        while any(worker.job is not None for worker in workers):
            busy = {w.pipe: w for w in workers if w.job is not None}
            for pipe in connection.wait(list(busy)):
                worker = busy[pipe]
                job, result = worker.job, _receive(worker, jobs, describe)
                _give(worker, next(waiting, None), jobs)
                yield job, result
    finally:
        for worker in workers:
            _end(worker)


def _start(make_work) -> _Worker:
    context = multiprocessing.get_context("spawn")
    pipe, its_end = context.Pipe()
    # Pickled here: the process imports what it needs with its words kept back.
    arguments = (its_end, pickle.dumps(make_work))
    process = context.Process(target=_serve, args=arguments, daemon=True)
    with _interrupts_held_back():
        process.start()
    # Only the process itself holds its end now: if it is gone, so is the end.
    its_end.close()
    return _Worker(process, pipe)


def _give(worker, job, jobs) -> None:
    worker.job = job
    if job is not None:
        with contextlib.suppress(OSError):  # It is gone: found when received.
            worker.pipe.send(jobs[job])


def _receive(worker, jobs, describe):
    try:
        return worker.pipe.recv()
    except (EOFError, OSError):
        worker.process.join(_SECONDS_TO_END)
        status = worker.process.exitcode
        raise ValueError(
            f"{describe(jobs[worker.job])}: the process that read it "
            f"{_describe_end(status)}; give fewer --num_processes if memory "
            "ran out."
        ) from None


def _describe_end(status: int | None) -> str:
    if status is not None and status < 0:
        name = signal.Signals(-status).name
        return f"was ended by signal {-status} ({name})"
    return f"ended with status {status}"


def _end(worker) -> None:
    worker.pipe.close()
    worker.process.terminate()
    worker.process.join(_SECONDS_TO_END)
    if worker.process.is_alive():
        worker.process.kill()
        worker.process.join()


@contextlib.contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Starts processes that Ctrl-C does not reach; here it comes later."""
    # Its own start would let signals through again.
    resource_tracker.ensure_running()
    held = {signal.SIGINT}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, held)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(pipe, pickled_work) -> None:
    """Does jobs until the parent closes its end."""
    with standard_error_kept_back():
        work = pickle.loads(pickled_work)()
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        pipe.send(work(job))
