"""What a user may set of the service."""

import dataclasses
import re

from distill.models.argument_checks import check_at_least


@dataclasses.dataclass(frozen=True)
class ServiceOptions:
    """The service's name and limits.

    Attributes:
      model_name: The model's name in the addresses.
      top_k: Classes of an answer, best first.
      max_body_bytes: Most bytes of a request's body.
      max_batch_size: Most videos of one call of the model.
      batch_delay_ms: Milliseconds that a video waits for others to join it.
      max_queue: Most videos that wait for the model.
      stop_delay_seconds: From SIGTERM on, seconds in which requests are still
        accepted while `/healthz` answers 503.
      stop_timeout_seconds: Then, seconds for what was accepted to be answered.

    Raises:
      ValueError: A value is not as it should be.
    """

    model_name: str = "student"
    top_k: int = 20
    max_body_bytes: int = 16 * 2**20
    max_batch_size: int = 64
    batch_delay_ms: float = 2.0
    max_queue: int = 1024
    stop_delay_seconds: float = 0.0
    stop_timeout_seconds: int = 30

    def __post_init__(self):
        """Checks the values."""
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", self.model_name):
            raise ValueError(
                "model_name must be letters, digits, '_', '-' and '.', got "
                f"{self.model_name!r}."
            )
        check_at_least(
            1,
            top_k=self.top_k,
            max_body_bytes=self.max_body_bytes,
            max_batch_size=self.max_batch_size,
            max_queue=self.max_queue,
            stop_timeout_seconds=self.stop_timeout_seconds,
        )
        check_at_least(
            0,
            batch_delay_ms=self.batch_delay_ms,
            stop_delay_seconds=self.stop_delay_seconds,
        )
