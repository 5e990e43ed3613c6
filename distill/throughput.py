"""How many videos are scored a second."""

import time


class Throughput:
    """Measures videos a second, the first batch (which traces) left out."""

    def __init__(self):
        self._start: float | None = None
        self._videos = 0

    def count(self, videos: int) -> None:
        """Counts a batch of videos."""
        if self._start is None:
            self._start = time.perf_counter()
        else:
            self._videos += videos

    def rate(self) -> float | None:
        """Returns videos a second; None of one batch or none."""
        if not self._videos:
            return None
        return self._videos / (time.perf_counter() - self._start)
