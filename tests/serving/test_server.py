"""The service as a process: it says when it is ready and stops gracefully."""

import asyncio
import contextlib
import http.client
import json
import os
import select
import signal
import socket
import stat
import subprocess
import sys

import pytest
from fake_predictor import PREDICT, constant, fake_predictor
from server_process import HERE, ROOT, server

from distill.serving.server import open_socket, serve
from distill.settings.service import ServiceOptions
from tests.hang_guard import HANG_SECONDS, wait_until


def connect(port):
    """Gives a connection that is closed in the end."""
    return contextlib.closing(http.client.HTTPConnection("127.0.0.1", port))


def send_video(connection, value):
    """Sends a request for the prediction of a video of one value."""
    body = json.dumps({"instances": [{"frames": constant(value)}]})
    connection.request("POST", PREDICT, body)


def request(connection, value=None):
    """Returns status and JSON of a prediction, or of the health."""
    if value is None:
        connection.request("GET", "/healthz")
    else:
        send_video(connection, value)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def is_refused(port):
    """Returns whether nothing listens on a port."""
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return True
    return False


def ended(process):
    """Returns a process's status, output and errors."""
    output, errors = process.communicate(timeout=HANG_SECONDS)
    return process.returncode, output, errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_answers_accepted_requests_and_ends_with_status_0(number):
    flags = (
        f"--stop_timeout_seconds={HANG_SECONDS}",
        "--stop_delay_seconds=.1",
    )
    with (
        server(*flags) as (process, port),
        connect(port) as idle,
        connect(port) as busy,
    ):
        assert request(idle) == (200, {"status": "ok"})
        send_video(busy, 66)
        assert process.stdout.readline() == "the model begins\n"
        process.send_signal(number)
        wait_until(lambda: is_refused(port), process)
        assert not select.select([busy.sock], [], [], 0)[0]
        process.send_signal(signal.SIGUSR1)
        assert busy.getresponse().status == 200
        assert ended(process) == (0, "", "")


def test_health_is_503_while_requests_are_still_accepted():
    with server(f"--stop_delay_seconds={HANG_SECONDS}") as (process, port):
        process.send_signal(signal.SIGTERM)
        with connect(port) as connection:
            wait_until(lambda: request(connection)[0] == 503, process)
            stopping = (503, {"error": "The service is stopping."})
            assert request(connection) == stopping
            assert request(connection, 1)[0] == 200
        # A second signal skips the delay.
        process.send_signal(signal.SIGTERM)
        assert ended(process) == (0, "", "")


def test_a_stop_is_bounded_where_the_model_does_not_answer():
    flag = "--stop_timeout_seconds=1"
    with server(flag) as (process, port), connect(port) as connection:
        send_video(connection, 66)
        assert process.stdout.readline() == "the model begins\n"
        process.send_signal(signal.SIGTERM)
        status, _, errors = ended(process)
        assert status == 1
        assert "had not answered 1 seconds after the stop." in errors
        assert "Traceback" not in errors
        answer = connection.getresponse()
        assert answer.status == 503
        assert answer.read() == b'{"error":"The service has stopped."}'


def test_an_oversized_body_is_answered_while_it_is_sent():
    with server("--max_body_bytes=100000") as (process, port):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            head = f"POST {PREDICT} HTTP/1.1\r\nHost: test\r\n"
            head += "Transfer-Encoding: chunked\r\n\r\n"
            chunk = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
            connection.sendall(head.encode() + 5 * chunk)
            connection.settimeout(HANG_SECONDS)
            answer = b""
            while part := connection.recv(65536):
                answer += part
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert b'{"error":"The body is longer than 100000 bytes."}' in answer
        with connect(port) as connection:
            assert request(connection, 1)[0] == 200
        process.terminate()
        assert ended(process) == (0, "", "")


def test_a_cut_off_connection_leaves_the_service_alone():
    with server() as (process, port):
        for text in (b"POST / HT", b"nonsense\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(text)
        with socket.create_connection(("127.0.0.1", port)) as connection:
            head = f"POST {PREDICT} HTTP/1.1\r\nHost: test\r\n"
            head += "Content-Length: 50\r\nExpect: 100-continue\r\n\r\n"
            connection.sendall(head.encode())
            # The service begins to read the body.
            assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
            connection.sendall(b"{")
        with connect(port) as connection:
            assert request(connection, 1)[0] == 200
        process.terminate()
        status, _, errors = ended(process)
        assert status == 0
        assert "Traceback" not in errors


def test_answers_do_not_wait_for_the_clients_acknowledgement(monkeypatch):
    """The sockets of connections have TCP_NODELAY; else it takes 40 ms each."""
    # The log of this process stays as loud as other tests expect it.
    monkeypatch.setattr("distill.serving.server.quieten_log", lambda: None)
    found, tasks = [], []

    async def look(running, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: test\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
            own = writer.get_extra_info("sockname")
            found.extend(has_no_delay(own))
        finally:
            writer.close()
            running.begin_stop()

    with open_socket("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        serve(
            fake_predictor,
            ServiceOptions(top_k=3),
            listener,
            lambda running: tasks.append(
                asyncio.get_running_loop().create_task(look(running, port))
            ),
        )
    assert found == [True]


def has_no_delay(peer):
    """Yields whether TCP_NODELAY is set on this process's sockets to a peer."""
    option = socket.IPPROTO_TCP, socket.TCP_NODELAY
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                with socket.socket(fileno=os.dup(int(name))) as each:
                    if each.getpeername() == peer:
                        yield bool(each.getsockopt(*option))


def test_a_checkpoint_without_tensorflow_is_an_error_of_one_line():
    program = [sys.executable, str(HERE / "fake_server.py")]
    done = subprocess.run(
        [*program, "--artifact=student.h5", "--port=0"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{HERE}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "is not installed: `pip install -e .` installs what" in line


def test_a_taken_or_missing_address_is_an_error_of_one_line():
    with open_socket("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        taken.listen()
        with pytest.raises(OSError, match=f"127.0.0.1:{port}: Address already"):
            open_socket("127.0.0.1", port)
    with pytest.raises(
        ValueError, match="port must be from 0 to 65535, got 65"
    ):
        open_socket("127.0.0.1", 65536)
    with pytest.raises(OSError, match="no host:8501: "):
        open_socket("no host", 8501)
