"""Many clients at once against a service, every answer checked."""

import collections
import dataclasses
import http.client
import json
import threading
import time
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from distill.models.argument_checks import check_at_least
from tools.service_load.load_requests import LoadRequest, LoadRequests

if TYPE_CHECKING:
    from distill.predictor import Predictor

_DISTINCT = 64
_TOLERANCE = 1e-5
_TIMEOUT_SECONDS = 60
_ERRORS_KEPT = 10


@dataclasses.dataclass(frozen=True)
class LoadTest:
    """What a load test does.

    Attributes:
      url: The service's, as `http://HOST:PORT`.
      model_name: The model's name there.
      num_clients: Clients that ask at once, a connection each.
      num_requests: Requests of all of them.
      malformed_share: Share of requests that are malformed.
      seed: What is asked follows from it.
      server_pid: The service's process, whose memory is read; None: none.

    Raises:
      ValueError: A value is not as it should be.
    """

    url: str
    model_name: str
    num_clients: int = 8
    num_requests: int = 2000
    malformed_share: float = 0.1
    seed: int = 0
    server_pid: int | None = None

    def __post_init__(self):
        """Checks the values."""
        parts = urllib.parse.urlsplit(self.url)
        if (
            parts.scheme != "http"
            or not parts.hostname
            or parts.path
            not in (
                "",
                "/",
            )
        ):
            raise ValueError(f"url must be http://HOST:PORT, got {self.url!r}.")
        check_at_least(
            1, num_clients=self.num_clients, num_requests=self.num_requests
        )
        if not 0 <= self.malformed_share <= 1:
            raise ValueError(
                "malformed_share must be a share from 0 to 1, got "
                f"{self.malformed_share}."
            )


@dataclasses.dataclass
class LoadResult:
    """What came of a load test.

    Attributes:
      seconds: How long it took.
      num_videos: Videos whose answers were right.
      latencies: Seconds of every answer to a good request, and to a malformed
        one, by `good` and `malformed`.
      statuses: Answers by status; `no answer` among them.
      refused: Malformed requests that were answered as they should be, by
        kind.
      wrong: Number of wrong answers.
      errors: The first of them in words.
      memory: The service's resident bytes at the start, in the middle and at
        the end, as far as they were read.
    """

    seconds: float = 0.0
    num_videos: int = 0
    latencies: dict[str, list[float]] = dataclasses.field(
        default_factory=lambda: {"good": [], "malformed": []}
    )
    statuses: collections.Counter = dataclasses.field(
        default_factory=collections.Counter
    )
    refused: collections.Counter = dataclasses.field(
        default_factory=collections.Counter
    )
    wrong: int = 0
    errors: list[str] = dataclasses.field(default_factory=list)
    memory: dict[str, int] = dataclasses.field(default_factory=dict)


def run_load_test(test: LoadTest, predictor: "Predictor") -> LoadResult:
    """Asks the service, and the predictor for what it should answer.

    A 503 is a right answer to any request: the queue may be full.

    Raises:
      OSError: There is no service at the address.
    """
    requests = LoadRequests(predictor, test.model_name, test.seed)
    run = _Run(test, requests.good(_DISTINCT), requests.malformed())
    return run.result()


class _Run:
    def __init__(
        self,
        test: LoadTest,
        good: list[LoadRequest],
        malformed: list[LoadRequest],
    ):
        self._test = test
        self._good, self._malformed = good, malformed
        draws = np.random.default_rng([test.seed, 1])
        self._is_bad = draws.random(test.num_requests) < test.malformed_share
        self._choices = draws.integers(0, 2**31, test.num_requests)
        self._next = 0
        self._lock = threading.Lock()
        self._result = LoadResult()

    def result(self) -> LoadResult:
        connection = self._connect()
        try:
            connection.connect()
        except OSError as error:
            raise OSError(f"{self._test.url}: {error.strerror}.") from error
        connection.close()
        threads = [
            threading.Thread(target=self._client)
            for _ in range(self._test.num_clients)
        ]
        self._read_memory("start")
        start = time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._result.seconds = time.perf_counter() - start
        self._read_memory("end")
        return self._result

    def _connect(self) -> http.client.HTTPConnection:
        parts = urllib.parse.urlsplit(self._test.url)
        return http.client.HTTPConnection(
            parts.hostname, parts.port, timeout=_TIMEOUT_SECONDS
        )

    def _client(self) -> None:
        connection = self._connect()
        while (request := self._take()) is not None:
            start = time.perf_counter()
            try:
                status, body = _ask(connection, request)
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                self._note(request, None, repr(error), 0.0)
                continue
            seconds = time.perf_counter() - start
            problem = None
            if status != http.HTTPStatus.SERVICE_UNAVAILABLE:
                problem = find_problem(request, status, body)
            self._note(request, status, problem, seconds)
        connection.close()

    def _take(self) -> LoadRequest | None:
        with self._lock:
            index = self._next
            self._next += 1
        if index >= self._test.num_requests:
            return None
        if index == self._test.num_requests // 2:
            self._read_memory("middle")
        pool = self._malformed if self._is_bad[index] else self._good
        return pool[self._choices[index] % len(pool)]

    def _note(
        self,
        request: LoadRequest,
        status: int | None,
        problem: str | None,
        seconds: float,
    ) -> None:
        result, is_good = self._result, request.status == http.HTTPStatus.OK
        with self._lock:
            result.statuses["no answer" if status is None else status] += 1
            if status is not None:
                kind = "good" if is_good else "malformed"
                result.latencies[kind].append(seconds)
            if problem is not None:
                result.wrong += 1
                if len(result.errors) < _ERRORS_KEPT:
                    result.errors.append(f"{request.kind}: {problem}")
            elif status == request.status and is_good:
                result.num_videos += len(request.probabilities)
            elif status == request.status:
                result.refused[request.kind] += 1

    def _read_memory(self, moment: str) -> None:
        if self._test.server_pid is not None:
            memory = resident_bytes(self._test.server_pid)
            self._result.memory[moment] = memory


def _ask(
    connection: http.client.HTTPConnection, request: LoadRequest
) -> tuple[int, bytes]:
    connection.request(
        request.method, request.path, request.body, request.headers
    )
    answer = connection.getresponse()
    return answer.status, answer.read()


def find_problem(request: LoadRequest, status: int, body: bytes) -> str | None:
    """Returns what is wrong with an answer, None if nothing is.

    A good answer's classes must be as probable as the best ones here, each of
    them as probable as here, to 1e-5.
    """
    if status != request.status:
        return f"status {status} instead of {request.status}: {body[:200]!r}"
    try:
        answer = json.loads(body)
        if request.probabilities is None:
            message = answer["error"]
            right = list(answer) == ["error"] and message
            return None if right else f"{body[:200]!r}"
        rows = _rows(answer, request.columnar)
        for row, expected in zip(rows, request.probabilities, strict=True):
            if problem := _find_difference(row, expected):
                return problem
    except (ValueError, KeyError, TypeError, IndexError) as error:
        return f"{error!r} in {body[:200]!r}"
    return None


def _rows(answer: dict, columnar: bool) -> list[dict]:
    if not columnar:
        return answer["predictions"]
    columns = answer["outputs"]
    return [
        dict(zip(columns, row, strict=True))
        for row in zip(*columns.values(), strict=True)
    ]


def _find_difference(row: dict, expected: np.ndarray) -> str | None:
    given = np.array(row["probabilities"])
    best = np.sort(expected)[::-1][: len(given)]
    pairs = [(given, expected[row["class_indexes"]]), (given, best)]
    if "predictions" in row:
        pairs.append((np.array(row["predictions"]), expected))
    for got, wanted in pairs:
        if got.shape != wanted.shape or not len(got):
            return f"shape {got.shape} instead of {wanted.shape}"
        difference = np.abs(got - wanted).max()
        if not difference <= _TOLERANCE:
            return f"differs by {difference:.2e}"
    return None


def resident_bytes(pid: int) -> int:
    """Returns a process's resident memory, by `/proc`.

    Raises:
      OSError: There is no such process.
    """
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "VmRSS":
            return int(value.split()[0]) * 1024
    raise OSError(f"/proc/{pid}/status names no memory.")
