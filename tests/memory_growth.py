"""A bound on the memory that this process takes while something runs."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tools.process_memory import peak_bytes, resident_bytes


@contextlib.contextmanager
def memory_grows_by_at_most(num_bytes: float) -> Iterator[None]:
    """Checks the peak of the resident memory in the body.

    Args:
      num_bytes: Largest growth over the memory before the body.
    """
    # Resets the peak.
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = resident_bytes()
    yield
    assert peak_bytes() - before < num_bytes
