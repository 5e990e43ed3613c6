"""How much memory this process takes at most while something runs."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tools.benchmark.predictions import read_memory_megabytes


@contextlib.contextmanager
def memory_grows_by_at_most(num_bytes: float) -> Iterator[None]:
    """Checks the most memory that was resident in the body at any time.

    Args:
      num_bytes: What that may be beyond what is resident before.
    """
    # Forgets the most that was resident so far.
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = read_memory_megabytes("VmRSS")
    yield
    assert read_memory_megabytes("VmHWM") - before < num_bytes / 2**20
