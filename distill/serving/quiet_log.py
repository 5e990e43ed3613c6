"""Messages of a log that clients can provoke: each kind once a minute."""

import logging
import time
from typing import Any

_LOGGERS = ("asyncio", "uvicorn.error", "distill.serving")
_SECONDS = 60.0
_LOG = logging.getLogger("distill.serving")


class OnceAMinute(logging.Filter):
    """Lets a kind of message pass once a minute.

    Messages are of one kind if they have the same text, before values are put
    in, and the same class of error. The next one that passes says how many
    were left out.
    """

    def __init__(self) -> None:
        super().__init__()
        # The time when each kind passed last, and how many were left out.
        self._passed: dict[tuple[Any, ...], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Returns whether a message passes."""
        error = record.exc_info[0] if record.exc_info else None
        kind = (record.name, record.msg, error)
        now = time.monotonic()
        since, left_out = self._passed.get(kind, (-_SECONDS, 0))
        if now - since < _SECONDS:
            self._passed[kind] = since, left_out + 1
            return False
        self._passed[kind] = now, 0
        if left_out:
            message = record.getMessage()
            record.msg = f"{message} ({left_out} more since the last one)"
            record.args = ()
        return True


def quieten_log() -> None:
    """Lets each kind of message of the service pass once a minute."""
    passes = OnceAMinute()
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(passes)


def report_fault(loop: Any, context: dict[str, Any]) -> None:
    """Logs a fault of an event loop, without the objects that it names."""
    error = context.get("exception")
    if isinstance(error, OSError):
        _LOG.warning("%s: %s.", context["message"], error.strerror or error)
    else:
        _LOG.error(context["message"], exc_info=error)
