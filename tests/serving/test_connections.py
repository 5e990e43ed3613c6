"""Clients that send or read too slowly, or are too many."""

import asyncio
import contextlib
import errno
import json
import logging
import socket
import threading

import pytest
from fake_predictor import (
    PREDICT,
    constant,
    expected,
    fake_predictor,
    running,
)

from distill.serving import acceptor, bodies, connections
from distill.serving.connections import most_connections
from distill.serving.quiet_log import OnceAMinute
from distill.serving.server import make_server, open_socket
from distill.settings.service import ServiceOptions

# What must happen has this time: no machine is too slow for it.
PATIENCE = 60
HEAD = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\n".encode()


def request(num_videos=1, full=False):
    """Returns a request whose connection ends with its answer."""
    rows = [{"frames": constant(7)}] * num_videos
    body = {"instances": rows, "parameters": {"full": full}}
    text = json.dumps(body).encode()
    length = f"Content-Length: {len(text)}\r\n\r\n".encode()
    return HEAD + b"Connection: close\r\n" + length + text


@contextlib.asynccontextmanager
async def serving(predictor=None, **options):
    """Gives the port of a service that runs in this event loop."""
    listener = open_socket("127.0.0.1", 0)
    port = listener.getsockname()[1]
    ready = asyncio.Event()
    predictor = predictor or fake_predictor()
    server = make_server(
        lambda: predictor, ServiceOptions(**options), lambda _: ready.set()
    )
    task = asyncio.create_task(server.serve([listener]))
    await ready.wait()
    try:
        yield port
    finally:
        while WRITERS:
            WRITERS.pop().close()
        server.should_exit = True
        await task


# Those of all connections to the service that runs.
WRITERS = []


async def connect(port, text=b""):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    WRITERS.append(writer)
    writer.write(text)
    return reader, writer


async def read_all(reader):
    """Returns what the service sends until it closes the connection."""
    text = b""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(PATIENCE):
            while part := await reader.read(65536):
                text += part
    return text


async def answer_to(port, text):
    reader, _ = await connect(port, text)
    return await read_all(reader)


def check_good(answer):
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), answer
    best = json.loads(body)["predictions"][0]["probabilities"][0]
    assert best == pytest.approx(expected(7)[5], abs=1e-6)


async def closed_connections(port, reason):
    """Returns how many the metrics say were closed for a reason."""
    text = await answer_to(
        port, b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    name = f'distill_connections_closed_total{{reason="{reason}"}} '.encode()
    _, _, rest = text.partition(name)
    return float(rest.split(b"\n")[0]) if rest else 0


@pytest.mark.parametrize(
    ("start", "drop", "answer"),
    [
        (HEAD, b"", b"HTTP/1.1 408 "),
        (HEAD + b"X-Slow: ", b"a", b"HTTP/1.1 408 "),
        (HEAD + b"Content-Length: 99\r\n\r\n{", b"", b"HTTP/1.1 408 "),
        (HEAD + b"Content-Length: 99999\r\n\r\n{", b" ", b"HTTP/1.1 408 "),
        (
            HEAD + b"Expect: 100-continue\r\nContent-Length: 9\r\n\r\n",
            b"",
            b"HTTP/1.1 100 ",
        ),
        (
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n",
            b"1\r\na\r\n",
            b"HTTP/1.1 408 ",
        ),
        (
            HEAD.replace(PREDICT.encode(), b"/healthz")
            + b"Content-Length: 99999\r\n\r\n",
            b"a",
            b"HTTP/1.1 405 ",
        ),
    ],
)
def test_a_slow_client_is_closed(start, drop, answer):
    async def talk():
        async with serving(client_timeout_seconds=0.3) as port:
            reader, writer = await connect(port, start)
            reading = asyncio.create_task(read_all(reader))
            while not reading.done():
                with contextlib.suppress(ConnectionError):
                    writer.write(drop)
                await asyncio.sleep(0.05)
            writer.close()
            check_good(await answer_to(port, request()))
            return reading.result()

    assert asyncio.run(talk()).startswith(answer)


def test_an_idle_client_is_closed(monkeypatch):
    monkeypatch.setattr(connections, "IDLE_SECONDS", 0.2)

    async def talk():
        async with serving(client_timeout_seconds=0.2) as port:
            silent = await connect(port)
            ask_again = await connect(
                port, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
            )
            return await read_all(silent[0]), await read_all(ask_again[0])

    silent, again = asyncio.run(talk())
    assert silent == b""
    assert again.startswith(b"HTTP/1.1 200 ")
    assert again.count(b"HTTP/1.1") == 1


def test_a_client_that_does_not_read_is_closed():
    text = request(400, full=True).replace(b"Connection: close\r\n", b"")

    async def talk():
        async with serving(client_timeout_seconds=0.3) as port:
            with socket.socket() as sock:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                sock.connect(("127.0.0.1", port))
                sock.setblocking(False)
                async with asyncio.timeout(PATIENCE):
                    while not await closed_connections(port, "timeout"):
                        # Until the buffers between are full.
                        with contextlib.suppress(OSError):
                            sock.send(text)
                        await asyncio.sleep(0.02)
            check_good(await answer_to(port, request()))

    asyncio.run(talk())


def test_the_client_that_waits_longest_gives_way_to_a_new_one():
    async def talk():
        async with serving(max_connections=16) as port:
            half_open = []
            for _ in range(16):
                half_open.append(await connect(port, HEAD))
                await asyncio.sleep(0.01)
            for _ in range(5):
                check_good(await answer_to(port, request()))
            assert await read_all(half_open[0][0]) == b""
            # Room for one was enough.
            _, writer = half_open[-1]
            writer.write(b"Content-Length: 0\r\nConnection: close\r\n\r\n")
            last = await read_all(half_open[-1][0])
            return last, await closed_connections(port, "limit")

    last, number = asyncio.run(talk())
    assert last.startswith(b"HTTP/1.1 400 ")
    assert number >= 1


def test_requests_that_are_computed_are_not_given_up():
    predictor = fake_predictor()
    gate = threading.Event()

    async def talk():
        async with serving(predictor, max_connections=16) as port:
            predictor._runtime.gate = gate
            tasks = [
                asyncio.create_task(answer_to(port, request()))
                for _ in range(40)
            ]
            await asyncio.sleep(0.3)
            assert not any(task.done() for task in tasks)
            gate.set()
            for answer in await asyncio.gather(*tasks):
                check_good(answer)

    asyncio.run(talk())


def test_a_new_connection_has_the_time_to_send_its_request(monkeypatch):
    monkeypatch.setattr(connections, "_YOUNG_SECONDS", 1000.0)
    predictor = fake_predictor()
    gate = threading.Event()

    async def talk():
        async with serving(predictor, max_connections=16) as port:
            predictor._runtime.gate = gate
            tasks = [
                asyncio.create_task(answer_to(port, request()))
                for _ in range(15)
            ]
            await asyncio.sleep(0.2)
            reader, writer = await connect(port)
            await asyncio.sleep(0.1)
            tasks += [
                asyncio.create_task(answer_to(port, request()))
                for _ in range(9)
            ]
            await asyncio.sleep(0.2)
            writer.write(request())
            gate.set()
            for answer in await asyncio.gather(*tasks, read_all(reader)):
                check_good(answer)

    asyncio.run(talk())


def test_stalled_bodies_give_way_to_others(monkeypatch):
    monkeypatch.setattr(bodies, "_STALLED_SECONDS", 0.1)
    size = 2**18
    stalled = HEAD + f"Content-Length: {size}\r\n\r\n".encode()
    large = request(900)
    assert len(large) > size // 16

    async def talk():
        async with serving(max_body_bytes=size) as port:
            for _ in range(16):
                await connect(port, stalled + b" " * (size - 1))
            await asyncio.sleep(0.5)
            return await answer_to(port, large)

    check_good(asyncio.run(talk()))


def test_large_answers_wait_for_room_and_small_ones_do_not(monkeypatch):
    predictor = fake_predictor()

    async def talk():
        async with running(predictor) as (client, service):
            service.unread_bytes = lambda most: most
            rows = [{"frames": constant(7)}] * 1000
            large = {"instances": rows, "parameters": {"full": True}}
            return (
                await client.post(PREDICT, json=large),
                await client.post(PREDICT, json={"instances": rows[:1]}),
            )

    large, small = asyncio.run(talk())
    assert large.status_code == 503
    assert large.headers["retry-after"] == "1"
    assert small.status_code == 200


def test_a_lack_of_descriptors_is_one_line_and_passes(monkeypatch, caplog):
    monkeypatch.setattr(acceptor, "_RETRY_SECONDS", 0.05)
    faults = [OSError(errno.EMFILE, "Too many open files")] * 3
    accept = socket.socket.accept

    def fail(listener):
        if faults:
            raise faults.pop()
        return accept(listener)

    monkeypatch.setattr(socket.socket, "accept", fail)

    async def talk():
        async with serving() as port:
            check_good(await answer_to(port, request()))

    asyncio.run(talk())
    lines = [record.getMessage() for record in caplog.records]
    assert lines == ["No connection is accepted: Too many open files."] * 3


def test_connections_fit_the_limit_on_open_files(monkeypatch):
    free = 100_000
    monkeypatch.setattr(connections, "free_descriptors", lambda: free)
    assert most_connections(None) == 1000
    assert most_connections(50_000) == 50_000
    free = 400
    assert most_connections(None) == 320
    with pytest.raises(ValueError, match="max_connections must be 320 or less"):
        most_connections(321)
    free = 90
    with pytest.raises(ValueError, match="for 10 connections; 16 are need"):
        most_connections(None)


def test_a_kind_of_message_passes_once_a_minute(monkeypatch):
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    passes, passed = OnceAMinute(), []
    for now, text in [(0, "a %d"), (1, "a %d"), (2, "b %d"), (59, "a %d"),
                      (61, "a %d"), (62, "a %d")]:  # fmt: skip
        record = logging.LogRecord("x", 30, "", 1, text, (now,), None)
        if passes.filter(record):
            passed.append(record.getMessage())
    assert passed == ["a 0", "b 2", "a 61 (2 more since the last one)"]


def test_bytes_that_are_not_http_are_answered_400():
    async def talk():
        async with serving() as port:
            return await answer_to(port, b"\0\1\2 nonsense\r\n\r\n")

    assert asyncio.run(talk()).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("start", "status"),
    [
        (HEAD, b"413"),
        (HEAD.replace(PREDICT.encode(), b"/healthz"), b"405"),
    ],
)
def test_bytes_that_are_not_http_within_an_answer_are_no_fault(
    start, status, caplog
):
    start += b"Transfer-Encoding: chunked\r\n\r\n14\r\n" + b"a" * 20

    async def talk():
        async with serving(max_body_bytes=10) as port:
            reader, writer = await connect(port, start)
            first = await reader.readline()
            writer.write(b"nonsense\r\n")
            await read_all(reader)
            health = await answer_to(
                port,
                b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close"
                b"\r\n\r\n",
            )
            return first, health

    first, health = asyncio.run(talk())
    assert first.startswith(b"HTTP/1.1 " + status)
    assert health.startswith(b"HTTP/1.1 200 ")
    assert {record.getMessage() for record in caplog.records} <= {
        "Invalid HTTP request received."
    }
