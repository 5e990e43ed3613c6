"""Clients that send too slowly, too much, nonsense, or do not read."""

import contextlib
import json
import random
import socket
import time
from collections.abc import Callable, Iterator, Sequence

from tools.service_load.requests import LoadRequest

_STEP_SECONDS = 0.1
_STEPS = 10
_ANSWER_SECONDS = 5.0
_PREDICT = b"POST /v1/models/student:predict HTTP/1.1\r\nHost: x\r\n"
# Answers to a request that is not as it should be, or in vain.
_STATUSES = {200, 400, 404, 405, 408, 413, 415, 503}


class HostileClients:
    """Attacks on a service's port.

    Args:
      port: The port.
      good: Good requests.
      malformed: Malformed ones, with the status that each must get.
      max_connections: The most connections of an attack.
      max_body_bytes: The service's limit of bodies.
      rng: Draws the numbers.
    """

    def __init__(
        self,
        port: int,
        good: Sequence[LoadRequest],
        malformed: Sequence[LoadRequest],
        max_connections: int,
        max_body_bytes: int,
        rng: random.Random,
    ):
        self._port = port
        self._good = good
        self._malformed = malformed
        self._max_connections = max_connections
        self._max_body_bytes = max_body_bytes
        self._rng = rng

    def kinds(self) -> dict[str, Callable[[], tuple[str, str]]]:
        """Returns the attacks: each returns what it did, and a problem."""
        return {
            "slow heads": lambda: self._drip(_PREDICT + b"X-A: "),
            "slow bodies": lambda: self._drip(_PREDICT + _length(10_000)),
            "slow chunks": lambda: self._drip(_CHUNKED, b"1\r\na\r\n"),
            "half-open": lambda: self._drip(_PREDICT[:-2], b""),
            "idle": lambda: self._drip(b"", b""),
            "held bodies": self._hold_bodies,
            "awaited 100": lambda: self._drip(
                _PREDICT + b"Expect: 100-continue\r\n" + _length(99), b""
            ),
            "pipelined": self._pipeline,
            "never reading": self._never_read,
            "oversized": self._oversize,
            "disconnecting": self._disconnect,
            "garbage": lambda: self._send(self._rng.randbytes(5000), "bytes"),
            "malformed": self._malform,
            "mutated": self._mutate,
        }

    @contextlib.contextmanager
    def _connections(self) -> Iterator[list[socket.socket]]:
        """Opens some connections, as many as the service lets open."""
        number = self._rng.randrange(1, self._max_connections + 1)
        with contextlib.ExitStack() as stack:
            sockets = []
            for _ in range(number):
                sock = stack.enter_context(socket.socket())
                sock.settimeout(_ANSWER_SECONDS)
                with contextlib.suppress(OSError):
                    sock.connect(("127.0.0.1", self._port))
                    sock.setblocking(False)
                sockets.append(sock)
            yield sockets

    def _drip(self, start: bytes, drop: bytes = b"a") -> tuple[str, str]:
        """Begins requests and goes on byte by byte."""
        with self._connections() as sockets:
            _send_all(sockets, start)
            for _ in range(_STEPS):
                time.sleep(_STEP_SECONDS)
                _send_all(sockets, drop)
            return f"{len(sockets)} connections", ""

    def _hold_bodies(self) -> tuple[str, str]:
        """Sends large bodies but for the last byte."""
        size = self._max_body_bytes
        with self._connections() as sockets:
            some = sockets[:64]
            _send_all(some, _PREDICT + _length(size))
            rest = dict.fromkeys(some, size - 1)
            for _ in range(_STEPS):
                for sock in some:
                    with contextlib.suppress(OSError):
                        while rest[sock]:
                            sent = sock.send(b" " * min(rest[sock], 2**16))
                            rest[sock] -= sent
                time.sleep(_STEP_SECONDS)
            return f"{len(some)} bodies of {size} bytes", ""

    def _pipeline(self) -> tuple[str, str]:
        """Sends many requests at once on each connection."""
        request = self._rng.choice(self._good)
        text = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n" * 50
        text += _to_bytes(request) * 5
        with self._connections() as sockets:
            _send_all(sockets, text)
            time.sleep(_STEPS * _STEP_SECONDS)
            return f"{len(sockets)} connections of 55 requests", ""

    def _never_read(self) -> tuple[str, str]:
        """Asks for large answers and does not read them."""
        body = json.loads(self._good[0].body)
        rows = body.get("instances") or [
            dict(zip(body["inputs"], row, strict=True))
            for row in zip(*body["inputs"].values(), strict=True)
        ]
        many = {"instances": rows[:1] * 40, "parameters": {"full": True}}
        request = LoadRequest("large", _PATH, json.dumps(many).encode())
        text = _to_bytes(request)[: self._max_body_bytes] * 3
        with self._connections() as sockets:
            for sock in sockets:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            rest = dict.fromkeys(sockets, text)
            for _ in range(3 * _STEPS):
                for sock in sockets:
                    with contextlib.suppress(OSError):
                        rest[sock] = rest[sock][sock.send(rest[sock]) :]
                time.sleep(_STEP_SECONDS)
            return f"{len(sockets)} connections", ""

    def _oversize(self) -> tuple[str, str]:
        """Sends a head, a chunk or a body that is too long."""
        far = self._max_body_bytes * self._rng.randrange(2, 5)
        kind = self._rng.choice(["head", "body", "chunk", "many chunks"])
        text = {
            "head": _PREDICT + b"X-Long: " + b"a" * far,
            "body": _PREDICT + _length(far) + b" " * far,
            "chunk": _CHUNKED + f"{far:x}\r\n".encode() + b" " * far,
            "many chunks": _CHUNKED + b"1\r\n \r\n" * (far // 6),
        }[kind]
        return self._send(text, f"a {kind} of {far} bytes")

    def _disconnect(self) -> tuple[str, str]:
        """Goes away in the middle of requests or answers."""
        text = _to_bytes(self._rng.choice(self._good))
        with self._connections() as sockets:
            for sock in sockets:
                end = self._rng.randrange(1, len(text) + 1)
                end = self._rng.choice([end, len(text)])
                _send_all([sock], text[:end])
            time.sleep(self._rng.random() * _STEP_SECONDS)
            return f"{len(sockets)} connections", ""

    def _malform(self) -> tuple[str, str]:
        """Sends a malformed request and compares the status."""
        request = self._rng.choice(self._malformed)
        deed, problem, status = self._ask(_to_bytes(request))
        if not problem and status != request.status:
            problem = f"status {status} instead of {request.status}"
        return f"{request.kind}, {deed}", problem

    def _mutate(self) -> tuple[str, str]:
        """Changes some bytes of a good request, of its head or its body."""
        text = bytearray(_to_bytes(self._rng.choice(self._good)))
        head = text.index(b"\r\n\r\n") + 4
        for _ in range(self._rng.randrange(1, 6)):
            last = self._rng.choice([head, len(text)])
            place = self._rng.randrange(min(last, len(text)))
            count = self._rng.choice([0, 1, 1, 4])
            new = self._rng.randbytes(self._rng.choice([0, 1, 1, 4]))
            text[place : place + count] = new
        return self._send(bytes(text), f"{len(text)} bytes")

    def _send(self, text: bytes, deed: str) -> tuple[str, str]:
        found, problem, _ = self._ask(text)
        return f"{deed}, {found}", problem

    def _ask(self, text: bytes) -> tuple[str, str, int | None]:
        """Sends a text, ends, and returns its answer's status in words."""
        answer = b""
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.settimeout(_ANSWER_SECONDS)
            sock.connect(("127.0.0.1", self._port))
            with contextlib.suppress(OSError):
                sock.sendall(text)
                sock.shutdown(socket.SHUT_WR)
            while part := sock.recv(2**16):
                answer += part
        if not answer:
            return "no answer", "", None
        first = answer.split(b"\r\n")[0]
        words = first.split()
        if not first.startswith(b"HTTP/1.1 ") or not words[1].isdigit():
            return "an answer", f"not HTTP: {first[:50]!r}", None
        status = int(words[1])
        is_known = status in _STATUSES or status == 100
        return f"status {status}", "" if is_known else f"{first!r}", status


_PATH = "/v1/models/student:predict"
_CHUNKED = _PREDICT + b"Transfer-Encoding: chunked\r\n\r\n"


def _length(number: int) -> bytes:
    return f"Content-Length: {number}\r\n\r\n".encode()


def _to_bytes(request: LoadRequest) -> bytes:
    headers = {"Host": "x", "Content-Length": str(len(request.body))}
    lines = [f"{k}: {v}" for k, v in (headers | request.headers).items()]
    head = [f"{request.method} {request.path} HTTP/1.1", *lines, "", ""]
    return "\r\n".join(head).encode() + request.body


def _send_all(sockets: Sequence[socket.socket], text: bytes) -> None:
    """Sends a text, or the beginning that is taken at once."""
    for sock in sockets:
        with contextlib.suppress(OSError):
            sock.send(text)
