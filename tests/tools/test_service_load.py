"""The load test, against a real service and against wrong answers."""

import dataclasses
import json

import pytest

from tests.serving import fake_predictor as fakes
from tests.serving.server_process import server
from tools.process_memory import resident_bytes
from tools.service_load.load import LoadSettings, find_problem, run_load_test
from tools.service_load.report import load_rows, print_load_result
from tools.service_load.requests import LoadRequests


@pytest.mark.parametrize("frame_features", [True, False])
def test_a_service_answers_every_request_rightly(frame_features, capsys):
    flags = ["--model_name=m"] + ["--video_level"] * (not frame_features)
    with server(*flags) as (process, port):
        settings = LoadSettings(
            f"http://127.0.0.1:{port}",
            "m",
            num_clients=4,
            num_requests=300,
            malformed_share=0.5,
            server_pid=process.pid,
        )
        predictor = fakes.fake_predictor(frame_features)
        result = run_load_test(settings, predictor)
    assert result.wrong == 0, result.errors
    assert "no answer" not in result.statuses
    kinds = LoadRequests(predictor, "m", 0).malformed()
    assert result.refused.keys() == {request.kind for request in kinds}
    assert {200, 400, 404, 405, 413, 415} == set(result.statuses)
    assert result.memory.keys() == {"start", "middle", "end"}
    print_load_result(result)
    shown = capsys.readouterr().out
    for name, value in load_rows(result):
        assert name in shown
        assert value in shown


def test_requests_follow_from_the_seed():
    predictor = fakes.fake_predictor()
    first, again, other = (
        [r.body for r in LoadRequests(predictor, "m", seed).good(9)]
        for seed in (0, 0, 1)
    )
    assert first == again != other


def good_request_and_answer():
    predictor = fakes.fake_predictor()
    requests = LoadRequests(predictor, "student", 0).good(80)
    request = next(r for r in requests if not r.columnar and b"full" in r.body)
    answer = fakes.post(request.body)
    assert find_problem(request, answer.status_code, answer.content) is None
    return request, answer.json()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda row: row["probabilities"].__setitem__(0, 0.5), "differs by"),
        (lambda row: row["predictions"].__setitem__(0, 0.5), "differs by"),
        (lambda row: row["class_indexes"].reverse(), "differs by"),
        (lambda row: row["predictions"].pop(), "shape (5,) instead of (6,)"),
        (lambda row: row.pop("class_indexes"), "KeyError"),
    ],
)
def test_a_wrong_answer_is_found(change, problem):
    request, answer = good_request_and_answer()
    change(answer["predictions"][-1])
    found = find_problem(request, 200, json.dumps(answer).encode())
    assert problem in found


def test_a_missing_row_and_a_wrong_status_are_found():
    request, answer = good_request_and_answer()
    answer["predictions"].pop()
    text = json.dumps(answer).encode()
    assert "ValueError" in find_problem(request, 200, text)
    assert "status 400 instead of 200" in find_problem(request, 400, text)
    bad = dataclasses.replace(request, status=400, probabilities=None)
    assert find_problem(bad, 400, b'{"error": "x"}') is None
    assert find_problem(bad, 400, b"no JSON") is not None
    assert find_problem(bad, 400, b'{"error": ""}') is not None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"url": "https://x"}, "url must be http://HOST:PORT"),
        ({"url": "localhost:8501"}, "url must be http://HOST:PORT"),
        ({"num_clients": 0}, "num_clients must be 1 or more"),
        ({"malformed_share": 1.5}, "malformed_share must be 1 or less"),
    ],
)
def test_settings_out_of_range_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        LoadSettings(**{"url": "http://x", "model_name": "m"} | change)


def test_memory_of_an_unknown_process_is_an_error():
    with pytest.raises(FileNotFoundError, match="status"):
        resident_bytes(2**22 + 1)


def test_a_missing_service_is_an_error():
    url = "http://127.0.0.1:9"
    with pytest.raises(OSError, match=f"{url}: Connection refused."):
        run_load_test(LoadSettings(url, "m"), fakes.fake_predictor())
