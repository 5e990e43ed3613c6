"""Keeping back what converters say of their own work."""

import contextlib
import logging
import warnings
from collections.abc import Iterator

_LOGGERS = (None, "absl", "tensorflow", "tf2onnx")


@contextlib.contextmanager
def quiet_converters() -> Iterator[None]:
    """Shows errors alone while TensorFlow and the converters run."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
