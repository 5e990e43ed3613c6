"""An artifact, loaded and tried out, with its interface."""

import functools
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from distill.deployment.interface import VideoInterface, read_interface
from distill.deployment.runtimes import Inputs, Runtime, load_runtime
from distill.system.error_lines import first_line

# Artifacts predict batches of any size; one of another program may not.
_TRIED_VIDEOS = 2
# The largest networks take some seconds, and a minute where Keras traces them.
MOST_SECONDS = 600
# Sums of rounded numbers exceed 1 by a little.
_ROUNDING = 1e-3


class ArtifactRuntime:
    """An artifact's runtime, whose errors and results are checked.

    Args:
      path: The artifact, for messages.
      runtime: Its runtime.
      num_classes: The classes that it must predict.
    """

    def __init__(self, path: Path, runtime: Runtime, num_classes: int):
        self._path = path
        self._runtime = runtime
        self._num_classes = num_classes

    def __call__(self, inputs: Inputs) -> np.ndarray:
        """Returns float32 `[batch, classes]`.

        Raises:
          ValueError: The runtime fails, or what it returns is not a
            probability of each class.
        """
        try:
            found = np.asarray(self._runtime(inputs))
        except Exception as error:
            # Each runtime has its own error classes.
            raise ValueError(
                f"{self._path} cannot predict: {first_line(error)}."
            ) from error
        shape = (len(next(iter(inputs.values()))), self._num_classes)
        if found.dtype != np.float32 or found.shape != shape:
            raise ValueError(
                f"{self._path} does not predict probabilities of "
                f"{self._num_classes} classes: its predictions are "
                f"{found.dtype} {list(found.shape)}, not float32 {list(shape)}."
            )
        least, most = found.min(), found.max()
        if not (least >= -_ROUNDING and most <= 1 + _ROUNDING):  # NaN too
            raise ValueError(
                f"{self._path} does not predict probabilities: its predictions "
                f"are from {least:g} to {most:g}."
            )
        return found


def load_artifact(
    path: Path, trust_artifact: bool = False
) -> tuple[ArtifactRuntime, VideoInterface]:
    """Loads an artifact beside its card, and predicts empty videos once.

    Raises:
      ValueError: There is no such artifact or card, the check refuses it, or
        it does not predict as its card says.
    """
    loaded = load_runtime(path, trust_artifact)
    interface = read_interface(path.parent)
    schema = interface.schema
    runtime = ArtifactRuntime(path, loaded, schema.num_classes)
    shape = (1,) if schema.frame_features else ()
    video = np.zeros((*shape, schema.num_features), schema.frame_type)
    inputs = interface.to_batch([interface.as_stored(video)] * _TRIED_VIDEOS)
    _run_within_limit(path, functools.partial(runtime, inputs))
    return runtime, interface


def _run_within_limit(path: Path, run: Callable[[], Any]) -> None:
    """Runs in a thread, which goes on alone if it takes too long."""
    errors: list[Exception] = []

    def keep_error() -> None:
        try:
            run()
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=keep_error, daemon=True)
    thread.start()
    thread.join(MOST_SECONDS)
    if thread.is_alive():
        raise ValueError(
            f"{path} took over {MOST_SECONDS} seconds to predict "
            f"{_TRIED_VIDEOS} empty videos."
        )
    for error in errors:
        raise error
