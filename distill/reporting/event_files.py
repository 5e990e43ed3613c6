"""Files for TensorBoard: scalars, histograms and hyperparameters.

The functions that usually write them need TensorBoard installed; their format
does not.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import struct_pb2

from distill.system.write_errors import name_write_errors

_BUCKETS = 30
# Field 3 of HParamsPluginData, of variable length, in protocol buffers.
_SESSION_START = b"\x1a"


class EventFiles:
    """Numbers of training, validation and evaluation, and a run's settings.

    A directory for each split makes TensorBoard draw the scalars of one name
    in one chart. The settings lie beside these directories, so that its table
    of hyperparameters shows the scores of all.

    Args:
      directory: For the files; None writes nothing.
      splits: Names of the splits; an empty one for the settings.
    """

    def __init__(self, directory: Path | None, splits: Iterable[str]):
        self._directory = directory or Path(os.devnull)
        with name_write_errors(self._directory):
            self._writers = {
                name: tf.summary.create_noop_writer()
                if directory is None
                else tf.summary.create_file_writer(str(directory / name))
                for name in splits
            }

    def write_scalars(
        self, split: str, step: int, values: Mapping[str, Any]
    ) -> None:
        """Writes the floats among the values of a split."""
        metadata = _metadata("scalars")
        with (
            name_write_errors(self._directory),
            self._writers[split].as_default(step=_uncached(step)),
        ):
            for name, value in values.items():
                if isinstance(value, float):
                    number = _uncached(value)
                    tf.summary.write(name, number, metadata=metadata)

    def write_histograms(
        self, split: str, step: int, values: Mapping[str, np.ndarray]
    ) -> None:
        """Writes the histogram of each array's finite values, if it has any.

        A histogram is float64 `[buckets, 3]`: the edges and the count of each.
        """
        metadata = _metadata("histograms")
        with (
            name_write_errors(self._directory),
            self._writers[split].as_default(step=_uncached(step)),
        ):
            for name, array in values.items():
                finite = array[np.isfinite(array)].astype(np.float64)
                if finite.size:
                    counts, edges = np.histogram(finite, _BUCKETS)
                    buckets = np.stack([edges[:-1], edges[1:], counts], axis=1)
                    tf.summary.write(name, buckets, metadata=metadata)

    def write_settings(self, settings: Mapping[str, Any]) -> None:
        """Writes the settings, by name, as the run's hyperparameters."""
        metadata = _metadata("hparams", _encode_settings(settings))
        tag = "_hparams_/session_start_info"
        with (
            name_write_errors(self._directory),
            self._writers[""].as_default(step=0),
        ):
            tf.summary.write(tag, 0.0, metadata=metadata)

    def flush(self) -> None:
        """Writes all buffered values to disk."""
        with name_write_errors(self._directory):
            for writer in self._writers.values():
                writer.flush()

    def close(self) -> None:
        """Closes the files."""
        with name_write_errors(self._directory):
            for writer in self._writers.values():
                writer.close()


def _uncached(number: int | float) -> np.ndarray:
    """Returns a number as an array.

    TensorFlow keeps each Python number that it is given for ever.
    """
    kind = np.int64 if isinstance(number, int) else np.float32
    return np.asarray(number, kind)


def _metadata(plugin: str, content: bytes = b"") -> Any:
    kind = tf.compat.v1.SummaryMetadata
    data = kind.PluginData(plugin_name=plugin, content=content)
    return kind(plugin_data=data)


def _encode_settings(settings: Mapping[str, Any]) -> bytes:
    """Returns the settings as an `HParamsPluginData` message.

    Its `SessionStartInfo` holds a map of values as field 1, as `Struct` does.
    """
    session = struct_pb2.Struct()
    session.update(
        {
            name: value if isinstance(value, bool | int | float) else str(value)
            for name, value in settings.items()
            if value is not None
        }
    )
    message = session.SerializeToString(deterministic=True)
    size, length = len(message), b""
    while size > 127:
        length += bytes([size % 128 + 128])
        size //= 128
    return _SESSION_START + length + bytes([size]) + message
