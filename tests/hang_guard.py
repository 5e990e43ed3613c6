"""The one time limit of the tests: a guard against hanging.

No test passes or fails by speed. What a test waits for comes, however slow the
machine is, or never: then the test fails after half an hour. Where a test
hangs elsewhere, pytest prints the place (`faulthandler_timeout`).
"""

import asyncio
import subprocess
import time
from collections.abc import Callable
from typing import Any

# At least ten times what anything takes on an idle machine of two cores.
HANG_SECONDS = 1800


def wait_until(
    condition: Callable[[], Any], process: subprocess.Popen | None = None
) -> Any:
    """Returns the first true value of a condition, asked 100 times a second.

    Fails if the process, where one is given, ends before.
    """
    end = time.monotonic() + HANG_SECONDS
    while not (value := condition()):
        if process is not None:
            assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "It never came."
        time.sleep(0.01)
    return value


async def until(condition: Callable[[], Any]) -> None:
    """Waits in an event loop until a condition is true."""
    async with asyncio.timeout(HANG_SECONDS):
        while not condition():
            await asyncio.sleep(0.01)
