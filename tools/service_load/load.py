"""A load test of a service: concurrent clients, every answer checked."""

import collections
import concurrent.futures
import dataclasses
import http.client
import json
import threading
import time
import urllib.parse
from typing import TYPE_CHECKING

import numpy as np

from distill.models.options import check_options, option
from tools.process_memory import resident_bytes
from tools.service_load.requests import LoadRequest, LoadRequests

if TYPE_CHECKING:
    from distill.predictor import Predictor

_DISTINCT_REQUESTS = 64
_TOLERANCE = 1e-5
_TIMEOUT_SECONDS = 60
_ERRORS_KEPT = 10


@dataclasses.dataclass(frozen=True)
class LoadSettings:
    """Settings of a load test.

    Raises:
      ValueError: A value is out of its range, or the URL has another form.
    """

    url: str = option(
        "http://127.0.0.1:8501", "Address of the service.", is_address=True
    )
    model_name: str = option("student", "The model's name in the service.")
    num_clients: int = option(8, "Clients, a connection each.", minimum=1)
    num_requests: int = option(
        2000, "Requests of all clients together.", minimum=1
    )
    malformed_share: float = option(
        0.1, "Fraction of the requests that are malformed.", minimum=0
    )
    seed: int = option(0, "Seed of the requests.")
    server_pid: int | None = option(
        None, "Process of the service, to read its memory."
    )

    def __post_init__(self):
        """Checks the values."""
        parts = urllib.parse.urlsplit(self.url)
        has_path = parts.path not in ("", "/")
        if parts.scheme != "http" or not parts.hostname or has_path:
            raise ValueError(f"url must be http://HOST:PORT, got {self.url!r}.")
        check_options(self)
        if self.malformed_share > 1:
            raise ValueError(
                "malformed_share must be 1 or less, got "
                f"{self.malformed_share}."
            )


@dataclasses.dataclass
class LoadResult:
    """Counts and times of a load test.

    Attributes:
      seconds: Duration of the test.
      num_videos: Videos with right answers.
      latencies: Seconds of every answer, by `good` and `malformed` request.
      statuses: Number of answers by status, or by `no answer`.
      refused: Number of malformed requests that were refused with the right
        status, by kind.
      wrong: Number of wrong answers.
      errors: The first wrong answers in words.
      memory: Resident bytes of the service at `start`, `middle` and `end`;
        empty without a process id.
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


def run_load_test(settings: LoadSettings, predictor: "Predictor") -> LoadResult:
    """Compares the service's answers with the predictor's.

    A 503 is a right answer to any request: the queue may be full.

    Raises:
      OSError: There is no service at the address.
    """
    requests = LoadRequests(predictor, settings.model_name, settings.seed)
    run = _Run(
        settings, requests.good(_DISTINCT_REQUESTS), requests.malformed()
    )
    return run.result()


class _Run:
    def __init__(
        self,
        settings: LoadSettings,
        good: list[LoadRequest],
        malformed: list[LoadRequest],
    ):
        self._settings = settings
        self._good, self._malformed = good, malformed
        rng = np.random.default_rng([settings.seed, 1])
        count = settings.num_requests
        self._is_bad = rng.random(count) < settings.malformed_share
        self._choices = rng.integers(0, 2**31, count)
        self._next = 0
        self._lock = threading.Lock()
        self._result = LoadResult()

    def result(self) -> LoadResult:
        connection = self._connect()
        try:
            connection.connect()
        except OSError as error:
            raise OSError(f"{self._settings.url}: {error.strerror}.") from error
        connection.close()
        num_clients = self._settings.num_clients
        self._read_memory("start")
        start = time.perf_counter()
        with concurrent.futures.ThreadPoolExecutor(num_clients) as pool:
            clients = [pool.submit(self._client) for _ in range(num_clients)]
        for client in clients:
            client.result()
        self._result.seconds = time.perf_counter() - start
        self._read_memory("end")
        return self._result

    def _connect(self) -> http.client.HTTPConnection:
        parts = urllib.parse.urlsplit(self._settings.url)
        return http.client.HTTPConnection(
            str(parts.hostname), parts.port, timeout=_TIMEOUT_SECONDS
        )

    def _client(self) -> None:
        connection = self._connect()
        while (request := self._take()) is not None:
            start = time.perf_counter()
            try:
                status, body = ask(connection, request)
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
        if index >= self._settings.num_requests:
            return None
        if index == self._settings.num_requests // 2:
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
            elif status == request.status:
                if request.probabilities is None:
                    result.refused[request.kind] += 1
                else:
                    result.num_videos += len(request.probabilities)

    def _read_memory(self, moment: str) -> None:
        if self._settings.server_pid is not None:
            memory = resident_bytes(self._settings.server_pid)
            self._result.memory[moment] = memory


def ask(
    connection: http.client.HTTPConnection, request: LoadRequest
) -> tuple[int, bytes]:
    """Returns the status and the body of the answer to a request."""
    connection.request(
        request.method, request.path, request.body, request.headers
    )
    answer = connection.getresponse()
    return answer.status, answer.read()


def find_problem(request: LoadRequest, status: int, body: bytes) -> str | None:
    """Describes what is wrong with an answer; None if it is right.

    The classes of an answer must be the best ones, with the expected
    probabilities, to 1e-5.
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
