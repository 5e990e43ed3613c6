"""Networks that make features of log-mel patches of sound."""

from pathlib import Path
from typing import Protocol

import numpy as np

from distill.extraction.log_mel import NUM_BANDS, PATCH_WINDOWS
from distill.extraction.network_files import (
    FileNetwork,
    Program,
    load_file,
    load_program,
)
from distill.extraction.vggish import CHECKPOINT, KERAS_WEIGHTS, load_vggish

LOG_MEL = "log_mel"
_PATCH = (PATCH_WINDOWS, NUM_BANDS)
# A patch, or one with an axis of channels in either place.
_LAYOUTS = (_PATCH, (*_PATCH, 1), (1, *_PATCH))
_DOWNLOAD = (
    "download VGGish from "
    "https://storage.googleapis.com/audioset/vggish_model.ckpt"
)


class AudioNetwork(Protocol):
    """Makes features of patches; threads may share one.

    Attributes:
      num_features: Numbers of a patch.
      macs: Multiply-adds of a patch; None if they are not known.
      identity: What its features depend on.
    """

    num_features: int
    macs: int | None
    identity: str

    def __call__(self, patches: np.ndarray, /) -> np.ndarray:
        """Returns the features of patches, each for itself.

        Args:
          patches: float32 `[n, 96, 64]` of `log_mel_patches`.

        Returns:
          float32 `[n, num_features]`. The bits of a row do not depend on the
          other patches.
        """


class LogMelStatistics:
    """The sound without a network: mean and deviation of each mel band.

    A patch's features are the means of its 64 bands over the 96 windows, then
    their standard deviations.
    """

    num_features = 2 * NUM_BANDS
    macs: int | None = 0
    identity = LOG_MEL

    def __call__(self, patches: np.ndarray) -> np.ndarray:
        """Returns float32 `[n, 128]` of patches `[n, 96, 64]`."""
        found = np.zeros((len(patches), self.num_features), np.float32)
        for row, patch in zip(found, patches, strict=True):
            row[:NUM_BANDS] = patch.mean(axis=0)
            row[NUM_BANDS:] = patch.std(axis=0)
        return found


def load_audio_network(name: str) -> AudioNetwork:
    """Returns a network of sound.

    Args:
      name: `log_mel` for `LogMelStatistics`; `onnx:FILE`, `saved_model:DIR` or
        `keras:FILE` (`.keras`) for a network of patches `[n, 96, 64]`, which
        may have an axis of one channel; `keras:FILE` (`.ckpt`, `.h5`) for
        VGGish with the weights of a file.

    Raises:
      ValueError: There is no such network or file, or it is damaged or reads
        no patches.
    """
    if name == LOG_MEL:
        return LogMelStatistics()
    kind, _, path = name.partition(":")
    if kind == "keras" and path.endswith((CHECKPOINT, *KERAS_WEIGHTS)):
        program = load_file(path, _load_weights, _DOWNLOAD)
    else:
        program = load_program(name, choices=(LOG_MEL,))
    return FileNetwork(name, program, _layout(path, program))


def _load_weights(path: Path) -> Program:
    from distill.extraction.keras_programs import keras_program

    return keras_program(load_vggish(path))


def _layout(path: str, program: Program) -> tuple[int, ...]:
    """Returns the shape in which a program takes a patch.

    Raises:
      ValueError: It takes none, or the places of the axes are not known.
    """
    fitting = [
        layout
        for layout in _LAYOUTS
        if len(layout) == len(program.input_shape[1:])
        and all(
            size in (None, given)
            for size, given in zip(program.input_shape[1:], layout, strict=True)
        )
    ]
    if len(fitting) == 1 and program.input_type.startswith("float"):
        return fitting[0]
    given = ", ".join(
        "any" if size is None else str(size) for size in program.input_shape
    )
    raise ValueError(
        f"{path} reads {program.input_type} [{given}]; it must read patches, "
        "float32 [any, 96, 64], [any, 96, 64, 1] or [any, 1, 96, 64]."
    )
