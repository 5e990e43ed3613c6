"""The service as a process: it says when it is ready and stops gracefully."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from fake_predictor import PREDICT, constant
from server_process import HERE, ROOT, server

from distill.serving.server import open_socket


def connect(port):
    """Gives a connection that is closed in the end."""
    return contextlib.closing(http.client.HTTPConnection("127.0.0.1", port))


def request(connection, value=None):
    """Returns status and JSON of a prediction, or of the health."""
    if value is None:
        connection.request("GET", "/healthz")
    else:
        body = json.dumps({"instances": [{"frames": constant(value)}]})
        connection.request("POST", PREDICT, body)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def ended(process):
    """Returns a process's status, output and errors."""
    output, errors = process.communicate(timeout=20)
    return process.returncode, output, errors


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_answers_accepted_requests_and_ends_with_status_0(number):
    with server() as (process, port), connect(port) as idle:
        assert request(idle) == (200, {"status": "ok"})
        answers = []

        def ask():
            with connect(port) as busy:
                answers.append(request(busy, 66))  # takes 1.5 seconds

        thread = threading.Thread(target=ask)
        thread.start()
        time.sleep(0.4)
        process.send_signal(number)
        time.sleep(0.3)
        assert not answers
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
        thread.join()
        assert [status for status, _ in answers] == [200]
        assert ended(process) == (0, "", "")


def test_health_is_503_while_requests_are_still_accepted():
    with server("--stop_delay_seconds=1") as (process, port):
        process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        stopping = (503, {"error": "The service is stopping."})
        with connect(port) as connection:
            assert request(connection) == stopping
            assert request(connection, 1)[0] == 200
        assert ended(process) == (0, "", "")


def test_a_stop_is_bounded_where_the_model_does_not_answer():
    flag = "--stop_timeout_seconds=1"
    with server(flag) as (process, port), connect(port) as connection:
        body = json.dumps({"instances": [{"frames": constant(77)}]})
        connection.request("POST", PREDICT, body)
        time.sleep(0.4)
        start = time.perf_counter()
        process.send_signal(signal.SIGTERM)
        status, _, errors = ended(process)
        assert status == 1
        assert time.perf_counter() - start < 4
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
            connection.sendall(head.encode())
            for _ in range(5):
                connection.sendall(b"8000\r\n" + b" " * 0x8000 + b"\r\n")
            connection.settimeout(10)
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
            head += "Content-Length: 50\r\n\r\n{"
            connection.sendall(head.encode())
            time.sleep(0.1)
        with connect(port) as connection:
            assert request(connection, 1)[0] == 200
        process.terminate()
        status, _, errors = ended(process)
        assert status == 0
        assert "Traceback" not in errors


def test_answers_do_not_wait_for_the_clients_acknowledgement():
    with server() as (_, port), connect(port) as connection:
        request(connection)
        start = time.perf_counter()
        for _ in range(40):
            request(connection)
        # 40 ms each where TCP_NODELAY is not set.
        assert time.perf_counter() - start < 0.8


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
