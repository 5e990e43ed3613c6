"""A new artifact in place of the old one, without a lost request."""

import asyncio
import contextlib
import gc
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

import numpy as np

from distill.serving.service import Service

if TYPE_CHECKING:
    from distill.predictor import Predictor


def load_checked(load: Callable[[], "Predictor"]) -> "Predictor":
    """Loads a model and lets it predict a first video.

    Raises:
      ValueError: The model cannot be loaded, or its prediction is wrong.
    """
    predictor = load()
    width = predictor.num_features
    shape = [1, width] if predictor.frame_features else [width]
    video = predictor.check(np.zeros(shape, np.uint8))
    found = np.asarray(predictor.probabilities([video]))
    wanted = (1, predictor.num_classes)
    if found.shape != wanted or not np.isfinite(found).all():
        raise ValueError(
            f"{predictor.name} predicts an array {found.shape} instead of "
            f"{wanted} for a video, or numbers that are not finite."
        )
    return predictor


class Reloader:
    """Loads the artifact again beside the model that serves, and swaps them.

    Args:
      load: Loads the artifact.
      service: Gets the new model.
    """

    def __init__(self, load: Callable[[], "Predictor"], service: Service):
        self._load = load
        self._service = service
        self._is_asked = False
        self._task: asyncio.Task | None = None

    def begin(self) -> None:
        """Begins to reload; once more if a reload is running already."""
        self._is_asked = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while self._is_asked:
            self._is_asked = False
            await self._reload()

    async def _reload(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            predictor = await loop.run_in_executor(
                None, load_checked, self._load
            )
            self._service.replace(predictor)
        except Exception as error:
            # A damaged artifact may raise any error of its runtime.
            reason = str(error).strip().split("\n")[0] or repr(error)
            self._service.metrics.count_reload(has_worked=False)
            _say(
                f"ERROR: Not reloaded: {reason} The model of "
                f"{self._service.loaded_at} goes on to serve.",
                sys.stderr,
            )
            return
        self._service.metrics.count_reload(has_worked=True)
        _say(f"reloaded {predictor.name} in process {os.getpid()}", sys.stdout)
        del predictor
        # Keras models hold themselves in circles.
        await loop.run_in_executor(None, gc.collect)


def _say(line: str, stream: TextIO) -> None:
    # SIGHUP may mean that the terminal is gone.
    with contextlib.suppress(OSError):
        print(line, file=stream, flush=True)
