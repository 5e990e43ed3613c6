"""Hostile clients do not keep an honest one from its answers."""

import contextlib
import dataclasses
import random
import socket
import threading

import pytest

from tests.serving import fake_predictor as fakes
from tests.serving.server_process import server
from tools.attacks.clients import attack
from tools.attacks.hostile_clients import HostileClients
from tools.service_load.requests import LoadRequests
from tools.service_load.steady_clients import SteadyClients


@pytest.mark.slow
def test_the_service_holds_against_every_kind_of_client(tmp_path):
    pytest.importorskip("onnxruntime", reason="comes with the extra onnx")
    attempts = list(attack(tmp_path, 14, random.Random(3)))
    assert len({attempt.target for attempt in attempts}) == 15
    problems = [str(attempt) for attempt in attempts if attempt.problem]
    assert not problems, problems


@contextlib.contextmanager
def answering(answer):
    """Gives the port of a service that gives one answer to everybody."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        is_over = threading.Event()

        def run():
            while not is_over.is_set():
                sock, _ = listener.accept()
                with sock, contextlib.suppress(OSError):
                    sock.recv(2**20)
                    sock.sendall(answer)

        port = listener.getsockname()[1]
        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield port
        finally:
            is_over.set()
            socket.create_connection(("127.0.0.1", port)).close()
            thread.join()


def text_of(status, body):
    length = f"Content-Length: {len(body)}\r\n\r\n".encode()
    close = b"Connection: close\r\n"
    return f"HTTP/1.1 {status} X\r\n".encode() + close + length + body


@pytest.mark.parametrize(
    ("answer", "counts"),
    [
        (text_of(200, b"{}"), (3, 0, 0)),
        (text_of(500, b"{}"), (3, 0, 0)),
        (text_of(503, b"{}"), (0, 3, 0)),
        (b"", (0, 0, 3)),
        (b"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\n", (0, 0, 3)),
    ],
)
def test_wrong_refused_and_lost_answers_are_told_apart(answer, counts):
    predictors = [fakes.fake_predictor()]
    with (
        answering(answer) as port,
        SteadyClients(port, predictors, 1, 0) as clients,
    ):
        clients.wait_for_answers()
        tally = clients.take()
    found = (tally.wrong, tally.refused, tally.lost)
    assert [bool(number) for number in found] == [bool(n) for n in counts]
    assert not tally.answers
    assert len(tally.problems) == min(tally.wrong + tally.lost, 20)


def test_an_answer_of_either_predictor_is_right():
    first, second = fakes.fake_predictor(), fakes.fake_predictor()
    second._runtime = lambda inputs: first._runtime(inputs) / 2
    with (
        server() as (_, port),
        SteadyClients(port, [second, first], 2, 0) as clients,
    ):
        clients.wait_for_answers()
        tally = clients.take()
    assert tally.problems == []
    assert set(tally.answers) == {1}


def kinds_of(port, malformed):
    good = LoadRequests(fakes.fake_predictor(), "student", 0).good(2)
    rng = random.Random(0)
    return HostileClients(port, good, malformed, 2, 2**16, rng).kinds()


def test_a_status_that_no_request_may_get_is_a_fault():
    malformed = LoadRequests(fakes.fake_predictor(), "student", 0).malformed()
    with answering(text_of(500, b"{}")) as port:
        kinds = kinds_of(port, malformed)
        for name in ("garbage", "mutated", "malformed"):
            _, problem = kinds[name]()
            assert "500" in problem, name
    wrong = [dataclasses.replace(each, status=404) for each in malformed]
    with answering(text_of(400, b"{}")) as port:
        _, problem = kinds_of(port, wrong)["malformed"]()
    assert problem == "status 400 instead of 404"
