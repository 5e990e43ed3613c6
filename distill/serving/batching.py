"""Videos of concurrent requests, predicted in one call of the model."""

import asyncio
import collections
import concurrent.futures
import contextlib
import dataclasses
from collections.abc import Callable

import numpy as np

Predict = Callable[[list[np.ndarray]], np.ndarray]


@dataclasses.dataclass(frozen=True)
class _Waiting:
    """A video, its model, its future prediction, and when it began to wait."""

    video: np.ndarray
    predict: Predict
    result: asyncio.Future
    since: float


class Batcher:
    """Collects videos into batches for the model, which has its own thread.

    A batch starts when it is full, or when its first video has waited for the
    delay, in seconds; videos keep their order. The model takes videos to
    `[videos, classes]`. Another model may be set at any time: a request is
    predicted by the one that was there when it came. `note_waiting` is told
    the number of waiting videos when it changes. Use it as an async context
    manager in the event loop.

    Attributes:
      model: Predicts the videos of the requests to come.
    """

    _task: asyncio.Task

    def __init__(
        self,
        model: Predict,
        max_batch_size: int,
        batch_delay: float,
        max_queue: int,
        note_waiting: Callable[[int], None] = lambda number: None,
    ):
        self.model = model
        self.max_queue = max_queue
        self.predicting = False
        self._max_batch_size = max_batch_size
        self._batch_delay = batch_delay
        self._note_waiting = note_waiting
        self._waiting: collections.deque[_Waiting] = collections.deque()
        self._changed = asyncio.Event()
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "model")

    async def __aenter__(self) -> "Batcher":
        """Starts to run batches."""
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *error) -> None:
        """Stops and cancels waiting videos."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        for waiting in self._waiting:
            waiting.result.cancel()
        self._waiting.clear()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def predict(
        self, videos: list[np.ndarray], model: Predict | None = None
    ) -> np.ndarray:
        """Returns the predictions `[videos, classes]`, in the videos' order.

        Args:
          videos: The videos.
          model: Predicts them; None for the present one.

        Raises:
          asyncio.QueueFull: The videos do not fit in the queue.
          Exception: The model's own, from a batch with one of the videos.
        """
        if len(self._waiting) + len(videos) > self.max_queue:
            raise asyncio.QueueFull
        loop = asyncio.get_running_loop()
        now, model = loop.time(), model or self.model
        waiting = [
            _Waiting(video, model, loop.create_future(), now)
            for video in videos
        ]
        self._waiting.extend(waiting)
        self._note_waiting(len(self._waiting))
        self._changed.set()
        results = [one.result for one in waiting]
        await asyncio.gather(*results, return_exceptions=True)
        return np.stack([result.result() for result in results])

    async def _run(self) -> None:
        while True:
            await self._wait_for_batch()
            # No name holds the batch, nor its model, any longer than needed.
            await self._predict_batch(self._take())

    async def _wait_for_batch(self) -> None:
        while not self._waiting:
            await self._next_change()
        until = self._waiting[0].since + self._batch_delay
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                while len(self._waiting) < self._max_batch_size:
                    await self._next_change()

    async def _next_change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _take(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        while self._waiting and len(batch) < self._max_batch_size:
            if batch and self._waiting[0].predict is not batch[0].predict:
                break
            waiting = self._waiting.popleft()
            if not waiting.result.done():
                batch.append(waiting)
        self._note_waiting(len(self._waiting))
        return batch

    async def _predict_batch(self, batch: list[_Waiting]) -> None:
        if not batch:
            return
        videos = [waiting.video for waiting in batch]
        loop = asyncio.get_running_loop()
        try:
            rows = await loop.run_in_executor(
                self._thread, self._call, batch[0].predict, videos
            )
        except Exception as error:
            for waiting in batch:
                if not waiting.result.done():
                    waiting.result.set_exception(error)
            return
        for waiting, row in zip(batch, rows, strict=True):
            if not waiting.result.done():
                waiting.result.set_result(row)

    def _call(self, predict: Predict, videos: list[np.ndarray]) -> np.ndarray:
        self.predicting = True
        try:
            rows = np.asarray(predict(videos))
            if len(rows) != len(videos) or not np.isfinite(rows).all():
                raise RuntimeError(
                    f"The model gave an array {rows.shape} for {len(videos)} "
                    "videos, or numbers that are not finite."
                )
            return rows
        finally:
            self.predicting = False
