"""Runs the command line in forks of a process that has imported TensorFlow.

A fork starts at the command line, as a new process of Python does, without the
seconds that the imports take. `run_without_tensorflow` runs it in forks of a
process that cannot import TensorFlow or Keras.
"""

import atexit
import functools
import json
import multiprocessing
import os
import runpy
import select
import subprocess
import sys
import tempfile
import unittest.mock
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from multiprocessing import forkserver
from pathlib import Path

from tests.hang_guard import HANG_SECONDS

_IMPORTED = ["tensorflow", "keras", "distill.training.run"]


@functools.cache
def _start_server() -> multiprocessing.context.ForkServerContext:
    """Starts the process with the imports, once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED)
    # TensorFlow reads the level of its messages once.
    with unittest.mock.patch.dict(os.environ, TF_CPP_MIN_LOG_LEVEL="3"):
        forkserver.ensure_running()
    return context


def run_in_fork(
    words: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
) -> subprocess.CompletedProcess:
    """Runs `python -m distill WORDS` to its end.

    Raises:
      TimeoutExpired: It hangs.
    """

    def run(files):
        process = _start_server().Process(
            target=_run, args=(words, folder, dict(environment), files)
        )
        process.start()
        process.join(HANG_SECONDS)
        if process.is_alive():
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(words, HANG_SECONDS)
        return process.exitcode

    return _complete(words, run)


@functools.cache
def _start_light_server() -> subprocess.Popen:
    """Starts the process without TensorFlow, which reads a line a command."""
    code = (
        "import sys\n"
        "sys.modules.update(tensorflow=None, keras=None)\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "import forked_scripts\n"
        "forked_scripts.serve()\n"
    )
    pipe = subprocess.PIPE
    server = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=pipe,
        stdout=pipe,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    atexit.register(server.communicate)
    return server


def serve() -> None:
    """Runs a command in a fork for each line; says its exit status."""
    import_module("distill.cli.main")
    for line in sys.stdin:
        process = os.fork()
        if not process:
            _run(*json.loads(line))
            sys.exit()
        _, status = os.waitpid(process, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def run_without_tensorflow(
    words: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
) -> subprocess.CompletedProcess:
    """Runs `python -m distill WORDS` to its end, without TensorFlow.

    Raises:
      TimeoutExpired: It hangs.
    """
    server = _start_light_server()

    def run(files):
        request = words, str(folder), dict(environment), list(map(str, files))
        print(json.dumps(request), file=server.stdin, flush=True)
        if not select.select([server.stdout], [], [], HANG_SECONDS)[0]:
            _start_light_server.cache_clear()
            server.kill()
            raise subprocess.TimeoutExpired(words, HANG_SECONDS)
        return int(server.stdout.readline())

    return _complete(words, run)


def _complete(
    words: Sequence[str], run: Callable[[Sequence[Path]], int]
) -> subprocess.CompletedProcess:
    """Returns a command's end; `run` gets the files of its two outputs."""
    with tempfile.TemporaryDirectory() as directory:
        files = [Path(directory, name) for name in ("out", "err")]
        status = run(files)
        output = [file.read_text(encoding="utf-8") for file in files]
    return subprocess.CompletedProcess(words, status, *output)


def _run(
    words: Sequence[str],
    folder: Path,
    environment: Mapping[str, str],
    files: Sequence[Path],
) -> None:
    """Runs in the fork, which ends like an interpreter of its own."""
    for number, file in enumerate(files, start=1):
        opened = os.open(file, os.O_CREAT | os.O_WRONLY)
        os.dup2(opened, number)
        os.close(opened)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = ["distill", *words]
    sys.orig_argv = [sys.executable, "-m", "distill", *words]
    try:
        runpy.run_module("distill", run_name="__main__", alter_sys=True)
    finally:
        atexit._run_exitfuncs()
