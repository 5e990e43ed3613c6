"""Video files over HTTP: equal predictions, bounds, errors, reloads."""

import asyncio
import base64
import contextlib
import dataclasses
import json
import os
import tempfile
import threading

import numpy as np
import pytest
from fake_predictor import (
    NUM_CLASSES,
    PREDICT,
    ask,
    constant,
    expected,
    fake_predictor,
    running,
)
from fake_videos import (
    PER_SECOND,
    VIDEO,
    NumberExtractor,
    draw_seconds,
    features_of,
    video_queue,
)
from test_monitoring import read_metrics

from distill.extraction.video_queue import AbandonedVideoError
from distill.models.frame_budget import FrameBudget
from distill.models.quantisation import quantize
from tests.hang_guard import until

BUDGET = FrameBudget.of(selection="uniform_k", num_frames=2)
SECONDS = 4


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """Returns a video of four seconds."""
    return draw_seconds(tmp_path_factory.mktemp("video") / "a.mp4", SECONDS)


def form(content, **fields):
    """Returns a request's form with a video."""
    return {"files": {"video": ("a.mp4", content)}, "data": fields}


def in_json(content, **fields):
    """Returns a request's JSON with a video."""
    video = {"b64": base64.b64encode(content).decode()}
    return {"json": {"video": video} | fields}


def post(request, predictor=None, videos=None, options=None, **limits):
    return ask(
        "POST",
        VIDEO,
        predictor,
        options,
        videos or video_queue(**limits),
        **request,
    )


def with_budget(budget):
    """Returns the tests' predictor as if its network selected frames."""
    predictor = fake_predictor()
    predictor.interface = dataclasses.replace(
        predictor.interface, budget=budget
    )
    return predictor


def check_error(answer, status, message):
    assert answer.status_code == status, answer.text
    assert list(answer.json()) == ["error"]
    assert message in answer.json()["error"]
    assert "/proc" not in answer.text


@pytest.mark.parametrize("send", [form, in_json])
@pytest.mark.parametrize(
    ("budget", "taken"), [(FrameBudget(), [0, 1, 2, 3]), (BUDGET, [1, 3])]
)
def test_a_file_is_predicted_as_in_python(send, budget, taken, path):
    predictor = with_budget(budget)
    answer = post(send(path.read_bytes(), top_k=NUM_CLASSES), predictor)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found.keys() == {"predictions", "video", "milliseconds"}
    assert found["video"] == {
        "num_frames": SECONDS,
        "num_decoded_frames": len(taken),
    }
    times = found["milliseconds"]
    assert times.keys() == {"decoding_and_extraction", "classification"}
    assert all(time > 0 for time in times.values())
    (row,) = found["predictions"]
    # Bit for bit: JSON holds the shortest decimals of a float32.
    own = predictor.predict_video(path, NumberExtractor(), NUM_CLASSES)
    assert row["class_indexes"] == own.class_indexes.tolist()
    assert row["class_names"] == own.class_names
    probabilities = np.array(row["probabilities"], np.float32)
    np.testing.assert_array_equal(probabilities, own.probabilities)
    # By hand: the other frames are zeros, which are stored as byte 127.
    frames = np.zeros((SECONDS, 4), np.float32)
    frames[taken] = features_of(PER_SECOND * np.array(taken))
    mean = quantize(frames, -2, 2).mean()
    np.testing.assert_allclose(probabilities, expected(mean)[::-1], atol=1e-6)


def test_videos_and_other_requests_share_batches(path):
    predictor = fake_predictor()
    content = path.read_bytes()

    async def talk():
        async with running(predictor, video_queue()) as (client, _):
            frames = {"instances": [{"frames": constant(7)}]}
            return await asyncio.gather(
                *(client.post(VIDEO, **form(content)) for _ in range(5)),
                *(client.post(PREDICT, json=frames) for _ in range(5)),
            )

    answers = asyncio.run(talk())
    assert {answer.status_code for answer in answers} == {200}
    own = predictor.predict_video(path, NumberExtractor(), 3)
    for answer in answers[:5]:
        (row,) = answer.json()["predictions"]
        assert row["class_indexes"] == own.class_indexes.tolist()
        np.testing.assert_allclose(
            row["probabilities"], own.probabilities, atol=1e-6
        )
    for answer in answers[5:]:
        (row,) = answer.json()["predictions"]
        np.testing.assert_allclose(
            row["probabilities"], expected(7)[[5, 4, 3]], atol=1e-6
        )


def test_top_k_is_the_clients_or_the_services(path):
    content = path.read_bytes()
    for request, count in (
        (form(content), 3),
        (form(content, top_k="2"), 2),
        (in_json(content, top_k=99), NUM_CLASSES),
    ):
        (row,) = post(request).json()["predictions"]
        assert len(row["class_names"]) == len(row["probabilities"]) == count


BOUNDARY = {"content-type": "multipart/form-data; boundary=b"}


@pytest.mark.parametrize(
    ("request_", "status", "message"),
    [
        (form(b"text"), 400, "The video cannot be read: FFmpeg: Invalid data"),
        (form(b""), 400, "The video cannot be read: "),
        (in_json(b"text"), 400, "The video cannot be read: FFmpeg: Invalid"),
        (form(b"v", top_k="0"), 400, "top_k must be 1 or more, got 0."),
        (form(b"v", top_k="x"), 400, "top_k must be a whole number."),
        (form(b"v", other="1"), 400, "unknown part 'other'; known: video, to"),
        ({"files": {"clip": b"v"}}, 400, "The form has an unknown part 'clip'"),
        ({"files": {"top_k": b"v"}}, 400, "The form has no file 'video'"),
        (
            {"files": [("video", b"v"), ("video", b"v")]},
            400,
            "The form cannot be read: Too many files.",
        ),
        (form(b"v", top_k=["1", "2"]), 400, "The form has the part 'top_k' tw"),
        (
            {"content": b"--c\r\n", "headers": BOUNDARY},
            400,
            "The form cannot be read: Invalid multipart data.",
        ),
        (
            {
                "content": b"",
                "headers": {"content-type": "multipart/form-data"},
            },
            400,
            "The form cannot be read: Missing boundary",
        ),
        ({"content": b"{"}, 400, "The body is not JSON: "),
        ({"json": {}}, 400, "'video' is missing."),
        ({"json": {"video": "x"}}, 400, "video must be an object, got a stri"),
        ({"json": {"video": {}}}, 400, "video.b64 must be a string, got null."),
        ({"json": {"video": {"b64": "?"}}}, 400, "video.b64 is not base64: "),
        ({"json": {"videos": 1}}, 400, "The body has an unknown key 'videos'"),
        (in_json(b"v", top_k=0), 400, "top_k must be 1 or more, got 0."),
        (in_json(b"v", top_k=1.5), 400, "top_k must be a whole number, got a"),
        (in_json(b"v", top_k=True), 400, "top_k must be a whole number, got t"),
        (
            {"content": b'{"video": {"b64": ""}, "top_k": 1, "top_k": 2}'},
            400,
            "An object of the body has a key twice.",
        ),
        (
            {"content": b"v", "headers": {"content-type": "video/mp4"}},
            415,
            "as multipart/form-data with a file 'video', or as JSON",
        ),
        (
            form(b"v") | {"headers": {"content-encoding": "gzip"}},
            415,
            "Content-Encoding 'gzip' is not supported.",
        ),
    ],
)
def test_the_answer_names_the_fault_of_a_request(request_, status, message):
    check_error(post(request_), status, message)


@pytest.mark.parametrize(
    ("limits", "status", "message"),
    [
        ({"max_video_seconds": 2.0}, 400, "it has 4 seconds, more than 2."),
        ({"max_video_pixels": 4095}, 400, "a frame has 4,096 pixels, more "),
        ({"max_decode_seconds": 0.001}, 400, "it was not decoded in 0.001 se"),
        ({"max_video_bytes": 4000}, 413, "The video has more than 4000 bytes."),
    ],
)
@pytest.mark.parametrize("send", [form, in_json])
def test_a_video_beyond_a_limit_is_refused(send, limits, status, message, path):
    check_error(post(send(path.read_bytes()), **limits), status, message)


@pytest.mark.parametrize("declared", [True, False])
def test_an_oversized_form_is_refused_without_being_read(declared):
    taken = []

    async def chunks():
        head = 'Content-Disposition: form-data; name="video"; filename="a"'
        yield f"--b\r\n{head}\r\n\r\n".encode()
        for index in range(1000):
            taken.append(index)
            yield bytes(2**16)

    headers = {"content-length": str(1000 * 2**16)} if declared else {}
    answer = post(
        {"content": chunks(), "headers": BOUNDARY | headers},
        max_video_bytes=2**18,
    )
    check_error(answer, 413, f"The body is longer than {2**18 + 8192} bytes.")
    assert answer.headers["connection"] == "close"
    # A megabyte is thrown away, for the answer to arrive.
    assert len(taken) < 30


def test_a_json_video_has_the_limit_of_other_bodies(path):
    answer = post(in_json(path.read_bytes()), options={"max_body_bytes": 999})
    check_error(answer, 413, "The body is longer than 999 bytes.")


def test_without_an_extractor_the_answer_says_what_to_do(path):
    answer = ask("POST", VIDEO, **form(path.read_bytes()))
    check_error(answer, 501, "The service takes no video files: it was started")
    assert "--extractor_file" in answer.text
    assert answer.headers["connection"] == "close"


def test_features_of_another_scale_are_the_videos_fault(path):
    predictor = fake_predictor()
    schema = dataclasses.replace(
        predictor.interface.schema, quantisation_min=5.0, quantisation_max=6.0
    )
    predictor.interface = dataclasses.replace(
        predictor.interface, schema=schema
    )
    answer = post(form(path.read_bytes()), predictor)
    check_error(answer, 400, "Features of the video: Dequantised values must")


def test_a_failing_network_is_a_500_whose_reason_is_in_the_log(path, caplog):
    extractor = NumberExtractor()

    def fail():
        raise ValueError("keras:/a/secret/path cannot run")

    extractor.begun = fail
    answer = post(form(path.read_bytes()), videos=video_queue(extractor))
    check_error(answer, 500, "The request failed; the server's log says why.")
    assert "a/secret/path" in caplog.text


def test_videos_beyond_the_queue_are_refused(path):
    extractor, content = NumberExtractor(), path.read_bytes()
    extractor.gate = threading.Event()
    videos = video_queue(extractor, processes=1, queue=2)

    async def talk():
        async with running(fake_predictor(), videos) as (client, service):
            held = []
            for number in (1, 2, 3):
                request = client.post(VIDEO, **form(content))
                held.append(asyncio.create_task(request))
                await until(lambda n=number: videos.number == n)
            text = service.metrics.render().decode()
            refused = await client.post(VIDEO, **form(content))
            extractor.gate.set()
            return refused, text, await asyncio.gather(*held)

    refused, text, answers = asyncio.run(talk())
    check_error(refused, 503, "Too many videos are being decoded; try later.")
    assert refused.headers["retry-after"] == "1"
    assert {answer.status_code for answer in answers} == {200}
    assert read_metrics(text)["distill_video_files",] == 3


def test_the_work_for_clients_that_have_gone_ends(path):
    extractor = NumberExtractor()
    begun, extractor.gate = [], threading.Event()
    extractor.begun = lambda: begun.append(1)
    videos = video_queue(extractor, processes=1, queue=2)
    interface = fake_predictor().interface
    reader = videos.reader_of(interface.schema, interface.budget)

    async def talk():
        gone = asyncio.Event()
        work = [
            asyncio.create_task(videos.extract(str(path), reader, gone.wait()))
            for _ in range(3)
        ]
        await until(lambda: begun)
        gone.set()
        # Those that wait end at once.
        await until(lambda: videos.number == 1)
        extractor.gate.set()
        found = await asyncio.gather(*work, return_exceptions=True)
        stay = asyncio.Event()
        return found, await videos.extract(str(path), reader, stay.wait())

    with contextlib.closing(videos):
        found, (read, seconds) = asyncio.run(talk())
    assert [type(error) for error in found] == [AbandonedVideoError] * 3
    assert len(begun) == 2
    assert read.num_decoded == SECONDS
    assert seconds > 0


def test_uploads_leave_no_file_behind(path, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    extractor, content = NumberExtractor(), path.read_bytes()
    seen = []
    extractor.begun = lambda: seen.append(os.listdir(tmp_path))

    async def cut():
        yield b'--b\r\nContent-Disposition: form-data; name="video"; '
        yield b'filename="a"\r\n\r\n' + bytes(10**5)
        raise ConnectionError

    async def talk():
        videos = video_queue(extractor)
        async with running(fake_predictor(), videos) as (client, _):
            await client.post(VIDEO, **form(content))
            before = len(os.listdir("/proc/self/fd"))
            for request in (form(content), in_json(content), form(bytes(9))):
                await client.post(VIDEO, **request)
            with contextlib.suppress(ConnectionError):
                await client.post(VIDEO, content=cut(), headers=BOUNDARY)
            return before, len(os.listdir("/proc/self/fd"))

    before, after = asyncio.run(talk())
    assert after <= before + 1  # another process that decodes
    # Not even while a video is decoded is there a name.
    assert seen == [[], [], []]


def test_uploads_are_bounded_in_number(path, monkeypatch):
    monkeypatch.setattr("distill.serving.video_uploads.MAX_UPLOADS", 2)
    begun, end = [], []

    async def halves():
        begun.append(1)
        yield b"--b\r\n"
        await until(lambda: end)

    async def talk():
        async with running(fake_predictor(), video_queue()) as (client, _):
            held = [
                asyncio.create_task(
                    client.post(VIDEO, content=halves(), headers=BOUNDARY)
                )
                for _ in range(2)
            ]
            await until(lambda: len(begun) == 2)
            refused = await client.post(VIDEO, **form(path.read_bytes()))
            end.append(1)
            await asyncio.gather(*held)
            return refused, await client.post(VIDEO, **form(path.read_bytes()))

    refused, later = asyncio.run(talk())
    check_error(refused, 503, "Too many requests are being read; try later.")
    assert later.status_code == 200


def test_a_reload_keeps_to_the_extractors_features():
    other = fake_predictor()
    schema = dataclasses.replace(
        other.interface.schema, feature_names=("rgb", "sound")
    )
    other.interface = dataclasses.replace(other.interface, schema=schema)

    async def talk():
        async with running(fake_predictor(), video_queue()) as (_, service):
            service.replace(other)

    with pytest.raises(ValueError, match="reads the feature 'sound' of 1 numb"):
        asyncio.run(talk())
    with pytest.raises(ValueError, match="reads the feature 'sound' of 1 numb"):
        ask("GET", "/healthz", other, videos=video_queue())


def test_a_video_is_predicted_by_the_model_whose_frames_were_read(path):
    extractor, content = NumberExtractor(), path.read_bytes()
    extractor.gate, begun = threading.Event(), []
    extractor.begun = lambda: begun.append(1)
    old, new = fake_predictor(), with_budget(BUDGET)

    async def talk():
        async with running(old, video_queue(extractor)) as (client, service):
            first = asyncio.create_task(client.post(VIDEO, **form(content)))
            await until(lambda: begun)
            service.replace(new)
            extractor.gate.set()
            return await first, await client.post(VIDEO, **form(content))

    first, second = asyncio.run(talk())
    assert first.json()["video"]["num_decoded_frames"] == SECONDS
    assert second.json()["video"]["num_decoded_frames"] == 2
    assert old._runtime.calls == new._runtime.calls == [1]


def test_metrics_and_metadata_cover_video_queue(path):
    async def talk():
        videos = video_queue(max_video_seconds=9.0)
        async with running(with_budget(BUDGET), videos) as (client, _):
            await client.post(VIDEO, **form(path.read_bytes()))
            await client.post(VIDEO, **form(b"text"))
            metadata = await client.get("/v1/models/student/metadata")
            return await client.get("/metrics"), metadata.json()

    answer, metadata = asyncio.run(talk())
    found = read_metrics(answer.text)
    assert found["distill_requests_total", VIDEO, "200"] == 1
    assert found["distill_requests_total", VIDEO, "400"] == 1
    assert found["distill_videos_total",] == 1
    assert found["distill_video_files",] == 0
    assert found["distill_decoded_frames_total",] == 2
    assert found["distill_video_file_seconds_count",] == 1
    limits = metadata["metadata"]["model"]["video_files"]
    assert limits["max_video_seconds"] == 9
    assert limits["frames_per_second"] == 1
    plain = ask("GET", "/v1/models/student/metadata").json()
    assert "video_files" not in json.dumps(plain)
