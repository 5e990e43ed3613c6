"""Work that is divided into tasks, which workers may do in any order.

A task writes its own results, whole or not at all. Done twice, it writes the
same twice.
"""

from collections.abc import Callable, Sequence
from typing import Any

# Does a task.
Work = Callable[[Any], None]
# Does tasks by the function that each worker makes for itself.
RunTasks = Callable[[Callable[[], Work], Sequence[Any]], None]
