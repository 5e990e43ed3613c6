"""Processes that run a model, each on a Keras backend of its own.

Keras fixes its backend at import. A process of `tools.backends.program` gets
the file of a model and NumPy arrays, and gives back NumPy arrays.
"""

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from multiprocessing.connection import Pipe
from pathlib import Path
from typing import Any

from distill.models.argument_checks import check_choice

# The module that each backend needs, in the order of the reports.
MODULES = {"tensorflow": "tensorflow", "torch": "torch", "jax": "jax"}
_ERROR_LETTERS = 4000


def installed_backends() -> tuple[str, ...]:
    """Returns the backends whose framework is installed."""
    return tuple(
        backend
        for backend, module in MODULES.items()
        if importlib.util.find_spec(module) is not None
    )


def check_backends(backends: Sequence[str]) -> None:
    """Checks the names of backends.

    Raises:
      ValueError: One is unknown or not installed, or there is none.
    """
    if not backends:
        raise ValueError(f"backends must name some of {', '.join(MODULES)}.")
    for backend in backends:
        check_choice("backend", backend, MODULES)
        if backend not in installed_backends():
            raise ValueError(
                f"{backend} is not installed: `pip install -e .[{backend}]` "
                "installs it."
            )


class BackendProcess:
    """A process with a `tools.backends.program.ModelRunner` on a backend.

    Leaving the context ends it.

    Args:
      backend: `tensorflow`, `torch` or `jax`.
      gpu: Index of the GPU; -1 for the CPU; None for the backend's choice.
    """

    def __init__(self, backend: str, gpu: int | None = None):
        self.backend = backend
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115
        self._connection, other_end = Pipe()
        self._process = subprocess.Popen(
            [
                sys.executable,
                *("-m", "tools.backends.program", str(other_end.fileno())),
            ],
            env=_environment(backend, gpu),
            pass_fds=[other_end.fileno()],
            stdout=self._errors,
            stderr=self._errors,
        )
        other_end.close()

    def __enter__(self) -> "BackendProcess":
        """Returns the process."""
        return self

    def __exit__(self, *error: object) -> None:
        """Ends the process, which holds nothing that is to be kept."""
        self._process.kill()
        self._process.wait()
        self._connection.close()
        self._errors.close()

    def call(self, method: str, *arguments: Any) -> Any:
        """Returns the result of a method of the process's `ModelRunner`.

        Raises:
          ChildProcessError: The process failed; the message holds the end of
            its output.
        """
        try:
            self._connection.send((method, arguments))
            return self._connection.recv()
        except (EOFError, ConnectionError) as error:
            self._process.wait()
            self._errors.seek(0)
            output = self._errors.read().decode(errors="replace")
            raise ChildProcessError(
                f"{self.backend} failed:\n{output[-_ERROR_LETTERS:]}"
            ) from error


def _environment(backend: str, gpu: int | None) -> dict[str, str]:
    # Waiting threads that spin slow PyTorch down many times over while other
    # programs compute.
    environment = (
        {"OMP_WAIT_POLICY": "PASSIVE"}
        | os.environ
        | {
            "KERAS_BACKEND": backend,
            "PYTHONPATH": str(Path(__file__).parents[2]),
            "TF_CPP_MIN_LOG_LEVEL": "2",
        }
    )
    if gpu is not None:
        environment["CUDA_VISIBLE_DEVICES"] = str(gpu)
    if gpu == -1:
        environment["JAX_PLATFORMS"] = "cpu"
    return environment
