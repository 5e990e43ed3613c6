"""Tasks as an Apache Beam pipeline, on the machines of any of its runners.

A task writes its own results, whole or not at all, where all machines see
them. It may be done twice: then the same is written twice. So it does not
matter which worker dies, and an interrupted job goes on with the tasks whose
results are missing.

The pipeline itself holds places in a file alone, which the workers read:
runners take graphs of some megabytes.
"""

import argparse
import contextlib
import json
import logging
import os
import pickle
import queue
import secrets
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from distill.settings.beam import BeamSettings
from distill.system.atomic_files import replace_atomically
from distill.system.captured_stderr import standard_error_kept_back
from distill.system.descendants import kill_descendants
from distill.system.extras import import_extra
from distill.system.small_files import read_json_object
from distill.system.storage import make_directory, to_path
from distill.system.tasks import Work

# Where a pickled object lies in the file of a job: its offset and its bytes.
Place = tuple[int, int]

# Trying again does not help against these, which name the file at fault.
_FINAL_ERRORS = (ValueError, FileNotFoundError)
# Job servers have flags of their own, which Beam's Python does not know.
_RUNNERS_WITH_JOB_SERVERS = ("flink", "portable", "spark")
# Name of the threads in which DirectRunner waits for its processes.
_WORKER_THREAD = "run_worker"
# The module that its processes run.
_WORKER_PROGRAM = b"apache_beam.runners.worker.sdk_worker_main"
_loading = threading.Lock()
# Files of jobs of this process: its devices are chosen.
_own_jobs: set[str] = set()
_works: dict[str, Work] = {}


class BeamRunner:
    """A runner of Apache Beam that does tasks.

    Args:
      settings: The runner, and its flags.
      directory: A directory that all workers see.
      gpu: GPU of a worker to compute on; -1: its CPU; None: all.

    Raises:
      ValueError: There is no such runner, or a flag is wrong.
    """

    def __init__(
        self, settings: BeamSettings, directory: Path, gpu: int | None = -1
    ):
        self._options = _read_options(settings)
        self._directory, self._gpu = directory, gpu

    def __call__(
        self, make_work: Callable[[], Work], tasks: Sequence[Any]
    ) -> None:
        """Does every task on the workers; returns when all are done.

        Args:
          make_work: Called once in every process of a worker. It returns the
            function that does a task, which several threads may call; if it
            has a method `close`, that ends it. It and the tasks can be
            pickled.
          tasks: The tasks.

        Raises:
          ValueError: The pipeline has failed, or a task has: then with its
            message.
        """
        if not tasks:
            return
        make_directory(self._directory)
        job = self._directory / f".beam-{secrets.token_hex(6)}"
        failure = job.with_name(f"{job.name}.error")
        _own_jobs.add(str(job))
        try:
            places = _write_job(job, [(make_work, self._gpu), *tasks])
            _run(self._options, str(job), places)
            if failure.exists():
                raise ValueError(read_json_object(failure)["message"])
        finally:
            _own_jobs.discard(str(job))
            work = _works.pop(str(job), None)
            getattr(work, "close", lambda: None)()
            for path in (job, failure):
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)


def _read_options(settings: BeamSettings) -> Any:
    """Returns Beam's options.

    Raises:
      ValueError: There is no such runner, or a flag is unknown or wrong.
    """
    _import_beam()
    beam = import_extra("apache_beam.options.pipeline_options", "beam")
    runner = settings.beam_runner or ""
    known = {n.lower(): n for n in beam.StandardOptions.KNOWN_RUNNER_NAMES}
    if runner.lower() not in known and "." not in runner:
        raise ValueError(
            f"beam_runner must be one of {', '.join(known.values())}, got "
            f"{runner!r}."
        )
    parser = _Parser(allow_abbrev=False, add_help=False)
    for kind in beam.PipelineOptions.__subclasses__():
        kind._add_argparse_args(parser)
    _, unknown = parser.parse_known_args(settings.option_words)
    if unknown and not runner.lower().startswith(_RUNNERS_WITH_JOB_SERVERS):
        raise ValueError(f"beam_options: {runner} has no flag {unknown[0]!r}.")
    words = ["--default_sdk_harness_log_level=ERROR", *settings.option_words]
    return beam.PipelineOptions(words, runner=runner)


class _Parser(argparse.ArgumentParser):
    """Raises what is wrong with a flag, where Beam's would end the program."""

    add_value_provider_argument = argparse.ArgumentParser.add_argument

    def error(self, message: str) -> NoReturn:
        """Raises a ValueError."""
        raise ValueError(f"beam_options: {message}.")


def _write_job(job: Path, objects: Sequence[Any]) -> list[Place]:
    """Writes pickled objects behind each other; returns all but the first's."""
    places, end = [], 0
    with replace_atomically(job) as temporary, temporary.open("wb") as file:
        for each in objects:
            contents = pickle.dumps(each)
            file.write(contents)
            places.append((end, len(contents)))
            end += len(contents)
    return places[1:]


def _run(options: Any, job: str, places: Sequence[Place]) -> None:
    beam = _import_beam()

    def run_pipeline() -> str:
        pipeline = beam.Pipeline(options=options)
        _ = (
            pipeline
            | "Tasks" >> beam.Create(places)
            | "Distribute" >> beam.Reshuffle()
            | "Run" >> beam.Map(do_task, job)
        )
        return pipeline.run().wait_until_finish()

    ends: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def run() -> None:
        try:
            ends.put(run_pipeline())
        except BaseException as error:
            ends.put(error)

    hook = threading.excepthook

    def observe(failed: threading.ExceptHookArgs) -> None:
        if failed.thread is not None and failed.thread.name == _WORKER_THREAD:
            # DirectRunner would wait for ever for a worker that is gone.
            ends.put(failed.exc_value)
        elif failed.exc_type.__module__.partition(".")[0] != "grpc":
            hook(failed)

    threading.excepthook = observe
    try:
        # Another thread, lest Ctrl-C waits for the pipeline.
        threading.Thread(target=run, daemon=True).start()
        end = ends.get()
    except BaseException:
        kill_descendants(_WORKER_PROGRAM)
        raise
    if isinstance(end, BaseException):
        # They would go on, and then report that nobody listens.
        kill_descendants(_WORKER_PROGRAM)
        _fail(str(end), end)
    # Else it stays: threads of workers that were ended fail at any time.
    threading.excepthook = hook
    if end not in (None, "DONE"):
        _fail(f"it ended as {end}")


def _fail(reason: str, error: BaseException | None = None) -> NoReturn:
    lines = [line.strip() for line in reason.splitlines() if line.strip()]
    raise ValueError(
        f"The pipeline has failed: {(lines or ['no reason given'])[-1]} "
        "(--verbosity=1 shows all of it.) The same command goes on from what "
        "is written."
    ) from error


def do_task(place: Place, job: str) -> None:
    """Does a task of a job, in a worker; writes the message if it fails."""
    failure = to_path(f"{job}.error")
    if failure.exists() or not to_path(job).exists():
        # Another task has failed, or the job was ended.
        return
    task = _read_object(job, place)
    try:
        _load_work(job)(task)
    except _FINAL_ERRORS as error:
        with replace_atomically(failure) as temporary:
            temporary.write_text(json.dumps({"message": str(error)}))


def _read_object(job: str, place: Place | None = None) -> Any:
    """Returns the object at a place; the first one for None."""
    with to_path(job).open("rb") as file:
        if place is None:
            return pickle.load(file)
        file.seek(place[0])
        return pickle.loads(file.read(place[1]))


def _load_work(job: str) -> Work:
    """Returns the function of a job; one for all threads of a process."""
    with _loading:
        if job not in _works:
            # A process may do several jobs, one after the other.
            _works.clear()
            _works[job] = _make_work(job)
        return _works[job]


def _make_work(job: str) -> Work:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if job in _own_jobs:
        make_work, _ = _read_object(job)
        return make_work()
    with standard_error_kept_back():
        # Reading it imports what it is made of, TensorFlow for one.
        make_work, gpu = _read_object(job)
        from distill.distributed.devices import choose_devices

        choose_devices(gpu)
        return make_work()


def _import_beam() -> Any:
    """Imports Beam, which warns of parts that nobody asked for."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        beam = import_extra("apache_beam", "beam")
    finally:
        logging.disable(before)
    logging.getLogger("apache_beam").setLevel(logging.CRITICAL)
    return beam
