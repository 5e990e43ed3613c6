"""Clients that ask a service all the time and check every answer."""

import collections
import concurrent.futures
import dataclasses
import http.client
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tools.service_load.load import ask, find_problem
from tools.service_load.requests import LoadRequest, LoadRequests

if TYPE_CHECKING:
    from distill.predictor import Predictor

_TIMEOUT_SECONDS = 90
_DISTINCT_REQUESTS = 32
_PROBLEMS_KEPT = 20
_POLL_SECONDS = 0.01


@dataclasses.dataclass
class Tally:
    """What clients have met.

    Attributes:
      answers: Right answers, by the index of the predictor that gives them.
      slowest: The most seconds of an answer.
      retried: Requests that were sent again because the service had closed
        the connection between two requests, as it may.
      refused: Answers with status 503.
      lost: Requests without an answer.
      wrong: Wrong answers.
      problems: The first ones, in words.
    """

    answers: collections.Counter = dataclasses.field(
        default_factory=collections.Counter
    )
    slowest: float = 0.0
    retried: int = 0
    refused: int = 0
    lost: int = 0
    wrong: int = 0
    problems: list[str] = dataclasses.field(default_factory=list)


class SteadyClients:
    """Clients in threads; use them as a context manager.

    Each other request has a new connection; the others share one a client.

    Args:
      port: The service's port on this machine.
      predictors: An answer must be that of one of them, which read the same
        videos.
      num_clients: Clients that ask at a time.
      seed: Seed of the requests.
    """

    def __init__(
        self,
        port: int,
        predictors: "Sequence[Predictor]",
        num_clients: int,
        seed: int,
    ):
        self._port = port
        self._requests = [
            LoadRequests(predictor, "student", seed).good(_DISTINCT_REQUESTS)
            for predictor in predictors
        ]
        self._pool = concurrent.futures.ThreadPoolExecutor(num_clients)
        self._num_clients = num_clients
        self._tally = Tally()
        self._rounds = [0] * num_clients
        self._lock = threading.Lock()
        self._is_over = threading.Event()

    def __enter__(self) -> "SteadyClients":
        """Begins to ask."""
        self._clients = [
            self._pool.submit(self._run, index)
            for index in range(self._num_clients)
        ]
        return self

    def __exit__(self, *error: object) -> None:
        """Ends when all clients have their answers."""
        self._is_over.set()
        self._pool.shutdown()
        for client in self._clients:
            client.result()

    def wait_for_answers(self) -> None:
        """Waits until each client has asked again, and has its answer."""
        before = list(self._rounds)
        # The request under way at the moment does not count.
        while not all(
            now >= then + 2
            for now, then in zip(self._rounds, before, strict=True)
        ):
            for client in self._clients:
                if client.done():
                    client.result()
            time.sleep(_POLL_SECONDS)

    def take(self) -> Tally:
        """Returns what the clients have met since it was called last."""
        with self._lock:
            tally, self._tally = self._tally, Tally()
        return tally

    def _run(self, index: int) -> None:
        kept = self._connect()
        number = index
        while not self._is_over.is_set():
            number += 1
            choice = number % _DISTINCT_REQUESTS
            requests = [each[choice] for each in self._requests]
            connection = kept if number % 2 else self._connect()
            start = time.perf_counter()
            try:
                status, body = self._ask(connection, requests[0])
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                self._note_lost(repr(error))
            else:
                self._note(requests, status, body, time.perf_counter() - start)
            if connection is not kept:
                connection.close()
            self._rounds[index] += 1
        kept.close()

    def _connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(
            "127.0.0.1", self._port, timeout=_TIMEOUT_SECONDS
        )

    def _ask(
        self, connection: http.client.HTTPConnection, request: LoadRequest
    ) -> tuple[int, bytes]:
        is_used = connection.sock is not None
        try:
            return ask(connection, request)
        except (ConnectionError, http.client.RemoteDisconnected):
            connection.close()
            if not is_used:
                raise
            with self._lock:
                self._tally.retried += 1
            return ask(connection, request)

    def _note(
        self,
        requests: Sequence[LoadRequest],
        status: int,
        body: bytes,
        seconds: float,
    ) -> None:
        problems = [find_problem(each, status, body) for each in requests]
        with self._lock:
            tally = self._tally
            tally.slowest = max(tally.slowest, seconds)
            if None in problems:
                tally.answers[problems.index(None)] += 1
            elif status == http.HTTPStatus.SERVICE_UNAVAILABLE:
                tally.refused += 1
            else:
                tally.wrong += 1
                if len(tally.problems) < _PROBLEMS_KEPT:
                    tally.problems.append(f"wrong answer: {problems[0]}")

    def _note_lost(self, reason: str) -> None:
        with self._lock:
            self._tally.lost += 1
            if len(self._tally.problems) < _PROBLEMS_KEPT:
                self._tally.problems.append(f"lost request: {reason}")
