"""Every error by its status and its message; the service lives on."""

import asyncio
import base64
import json

import pytest
from fake_predictor import (
    MAX_FRAMES,
    PREDICT,
    ask,
    constant,
    fake_predictor,
    post,
    running,
)

from distill.serving import bodies
from distill.settings.service import ServiceOptions
from tests.hang_guard import until

GOOD = {"frames": constant(1)}
GOODS = {"instances": [GOOD]}
TWICE = b'{"instances": [{%s"frames": [[1, 1, 1, 1]], "num_frames": 1}]}'


def one(frames, **more):
    return {"instances": [{"frames": frames} | more]}


def b64(content):
    return {"b64": base64.b64encode(content).decode()}


def check_error(answer, status, message):
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert list(answer.json()) == ["error"]
    assert message in answer.json()["error"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "The body is not JSON: Input is a zero-length"),
        (b'{"instances": [', "not JSON: unexpected end of data: line 1 col"),
        (b'{"instances": [{}] "x": 1}', "expected ',' or '}': line 1 column"),
        (b'{"instances": [{}]} {}', "unexpected content after document"),
        (b'{"instances" 3}', "expected ':' after key"),
        (b"{instances: 3}", "expected a string key"),
        (b"\xff\xfe", "The body is not JSON: str is not valid UTF-8"),
        (b"[" * 100_000, "depth limit exceeded"),
        (b'{"a":' * 100_000, "depth limit exceeded"),
        (b"[1" + b"[" * 100_000, "not JSON"),
        (b'{"instances": [{"frames": [[NaN]]}]}', "not JSON"),
        (b'{"instances": [{"frames": [[1, -Infinity]]}]}', "not JSON"),
        (b'{"instances": [{"frames": [[1e999, 1, 1, 1]]}]}', "is infinity"),
        (b'{"instances": [{"frames": [[1' + b"0" * 5000 + b"]]}]}", "infinity"),
        (TWICE % b'"frames": [], ', "An object of the body has a key twice."),
        (TWICE % b'"num_frames": 1, ', "has a key twice."),
        (TWICE % b'"fr\\u0061mes": [], ', "has a key twice."),
        (b"[]", "The body must be an object, got a list."),
        (b"null", "The body must be an object, got null."),
        ({}, "Give either 'instances' or 'inputs'."),
        ({"instances": [GOOD], "inputs": {}}, "Give either 'instances' or"),
        ({"instances": [GOOD], "instance": 1}, "unknown key 'instance'; known"),
        ({"instances": []}, "'instances' holds no video."),
        ({"inputs": {"frames": []}}, "'inputs' holds no video."),
        ({"instances": {}}, "'instances' must be a list, got an object."),
        ({"inputs": [constant(1)]}, "'inputs' must be an object, got a list."),
        ({"inputs": {}}, "'inputs' has no 'frames'."),
        ({"inputs": {"frames": {}}}, "inputs.frames must be a list"),
        (
            {"inputs": {"frames": [constant(1)], "num_frames": [1, 1]}},
            "inputs.num_frames has 2 videos, inputs.frames has 1.",
        ),
        ({"inputs": {"features": []}}, "'inputs' has an unknown key 'feat"),
        ({"instances": [3]}, "instances[0]: a video must be an object, got"),
        ({"instances": [{}]}, "instances[0]: 'frames' is missing."),
        (one([[1]] * 2), "instances[0]: frames[0] has 1 values instead of 4."),
        (one([[1] * 4, [1] * 5]), "frames[1] has 5 values instead of 4."),
        (one([[1] * 4, 7]), "frames[1] must be a list of numbers, got a"),
        (one([1, 2]), "frames[0] must be a list of numbers, got a number."),
        (one("abc"), "frames must be a list of frames or an object of 'b64'"),
        (one([]), "1 frame or more, got 0."),
        (one([[1, 2, 3, None]]), "frames[0] must hold numbers, got null."),
        (one([[1, 2, 3, True]]), "frames[0] must hold numbers, got true."),
        (one([[1, 2, 3, "4"]]), "frames[0] must hold numbers, got a string."),
        (one([[1, 2, 3, [4]]]), "frames[0] must hold numbers, got a list."),
        (one([[1, 2, 3, 2**63]]), "frames[0] holds too great a number."),
        (one([[1, 2, 3, 10**30]]), "values must be from -2.0 to 2.01, got 1.0"),
        (one([[1, 2, 3, 1e300]]), "NaN or infinite"),
        (one(constant(256)), "Bytes must be from 0 to 255, got 256 to 256."),
        (one(constant(-1)), "Bytes must be from 0 to 255, got -1 to -1."),
        (one(constant(2.5)), "Dequantised values must be from -2.0 to 2.01"),
        (one(constant(1), num_frame=1), "unknown key 'num_frame'; known: fr"),
        (one([[1] * 4, "a:b"], num_frames=1), "frames[1] must be a list"),
        (one(constant(1), num_frames=3), "from 1 to the 2 frames given, got 3"),
        (one(constant(1), num_frames=0), "from 1 to the 2 frames given, got 0"),
        (one(constant(1), num_frames=1.0), "frames given, got 1.0."),
        (one(constant(1), num_frames=True), "frames given, got true."),
        (one({"b64": "a"}), "frames.b64 is not base64: "),
        (one({"b64": "äöü"}), "frames.b64 is not base64: "),
        (one({"b64": 3}), "frames.b64 must be a string, got a number."),
        (one({"b65": ""}), "frames has an unknown key 'b65'; known: b64."),
        (one(b64(b"")), "1 frame or more, got 0."),
        (one(b64(b"12345")), "5 bytes, not a multiple of a frame's 4."),
        ({"instances": [GOOD, GOOD, {}]}, "instances[2]: 'frames' is missing."),
        ({"inputs": {"frames": [constant(1), []]}}, "inputs[1]: A video must"),
        (GOODS | {"signature_name": "m"}, "'m'; signature_name may be: serv"),
        (GOODS | {"signature_name": []}, "There is no signature a list"),
        (GOODS | {"parameters": {"fall": 1}}, "an unknown key 'fall'"),
        (GOODS | {"parameters": {"full": 1}}, "true or false"),
    ],
)
def test_the_answer_names_the_fault_of_a_request(body, message):
    check_error(post(body), 400, message)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1, 2], "features has 2 values instead of 4."),
        ([[1, 2, 3, 4]], "features has 1 values instead of 4."),
        (b64(b"12345678"), "has 8 bytes; 4 little-endian float32 are 16."),
        (b64(b"\0\0\xc0\x7f" * 4), "a value that is NaN or infinite."),
        (None, "features must be a list of numbers, got null."),
    ],
)
def test_the_answer_names_the_fault_of_a_vector(value, message):
    body = {"instances": [{"features": value}]}
    check_error(post(body, predictor=fake_predictor(False)), 400, message)


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("POST", "/v1/models/half:predict", 404, "The model here is 'student'"),
        ("GET", "/v1/models/half", 404, "nothing at GET /v1/models/half."),
        ("GET", "/v1/models/student/versions/2", 404, "version 1: POST /v1/mo"),
        ("POST", "/v1/models/student:classify", 404, "nothing at POST"),
        ("GET", "/v1/models/student/", 404, "nothing at GET"),
        ("GET", "/", 404, "nothing at GET /."),
        ("GET", PREDICT, 405, f"GET {PREDICT} is not allowed; allowed: POST."),
        ("POST", "/v1/models/student", 405, "is not allowed; allowed: "),
        ("DELETE", "/healthz", 405, "is not allowed; allowed: "),
    ],
)
def test_the_answer_to_an_unknown_path_or_method_lists_the_known(
    method, path, status, message
):
    check_error(ask(method, path), status, message)


def test_a_longer_video_is_cut():
    frames = constant(1, MAX_FRAMES) + constant(200, 3)
    cut, longer = post(one(constant(1, MAX_FRAMES))), post(one(frames))
    assert (longer.status_code, longer.json()) == (200, cut.json())


def test_encoded_bodies_are_refused():
    answer = post(b"x", headers={"content-encoding": "gzip"})
    check_error(answer, 415, "Content-Encoding 'gzip' is not supported.")


async def counted_chunks(num_chunks, taken):
    """Yields a body of unknown length and notes what is taken of it."""
    for index in range(num_chunks):
        taken.append(index)
        yield b" " * 2**16


@pytest.mark.parametrize("declared", [True, False])
def test_an_oversized_body_is_refused_without_being_read(declared):
    taken = []
    headers = {"content-length": str(1000 * 2**16)} if declared else {}
    answer = ask(
        "POST",
        PREDICT,
        options={"max_body_bytes": 2**18},
        content=counted_chunks(1000, taken),
        headers=headers,
    )
    check_error(answer, 413, f"The body is longer than {2**18} bytes.")
    assert answer.headers["connection"] == "close"
    # A megabyte is thrown away, for the answer to arrive.
    assert len(taken) < 30


def test_too_many_videos_are_refused():
    body = {"instances": [GOOD] * 5}
    answer = post(body, options={"max_queue": 4})
    check_error(answer, 413, "The request has 5 videos; at most 4 are taken.")


@pytest.mark.parametrize("value", [13, 99])
def test_a_failing_model_gives_500_and_the_service_lives_on(value, caplog):
    async def talk():
        async with running(fake_predictor()) as (client, _):
            bad = await client.post(PREDICT, json=one(constant(value)))
            good = await client.post(PREDICT, json=one(constant(1)))
            return bad, good

    bad, good = asyncio.run(talk())
    check_error(bad, 500, "The request failed; the server's log says why.")
    assert "secret" not in bad.text
    assert "Traceback" not in bad.text
    assert good.status_code == 200
    text = "a secret of the model" if value == 13 else "not finite"
    assert text in caplog.text


def test_a_fault_beside_the_predictions_gives_json_too():
    predictor = fake_predictor()
    predictor.describe = lambda: 1 / 0
    answer = ask("GET", "/v1/models/student/metadata", predictor)
    check_error(answer, 500, "The server's log says what failed.")


def test_a_body_that_stalls_times_out(monkeypatch):
    monkeypatch.setattr(bodies, "_READ_SECONDS", 0.1)

    async def stall():
        yield b"{"
        await asyncio.Event().wait()

    answer = ask("POST", PREDICT, content=stall())
    check_error(answer, 408, "The body took over 0 seconds.")


def test_bodies_have_a_common_limit():
    body = json.dumps(one(constant(1))).encode()
    begun = []

    async def halves():
        begun.append(0)
        yield body[:40]
        await until(lambda: len(begun) == 40)
        yield body[40:]

    async def talk():
        # 16 bodies of 80 bytes: 32 halves.
        async with running(fake_predictor(), max_body_bytes=80) as (client, _):
            return await asyncio.gather(
                *(client.post(PREDICT, content=halves()) for _ in range(40))
            )

    assert len(body) <= 80
    answers = asyncio.run(talk())
    statuses = {answer.status_code for answer in answers}
    assert statuses == {200, 503}
    refused = next(a for a in answers if a.status_code == 503)
    check_error(refused, 503, "Too many requests are being read; try later.")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("model_name", "a/b", "model_name must be letters, digits"),
        ("top_k", 0, "top_k must be 1 or more, got 0."),
        ("max_batch_size", 0, "max_batch_size must be 1 or more"),
        ("batch_delay_ms", -1.0, "batch_delay_ms must be 0 or more"),
        ("batch_delay_ms", float("nan"), "batch_delay_ms must be 0 or more"),
    ],
)
def test_wrong_options_are_refused(name, value, message):
    with pytest.raises(ValueError, match=message):
        ServiceOptions(**{name: value})
