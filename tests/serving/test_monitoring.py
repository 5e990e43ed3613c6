"""The access log and the metrics, against requests that were counted."""

import asyncio
import json
import re
import threading
import urllib.request

import pytest
from fake_predictor import PREDICT, ask, constant, fake_predictor, running
from prometheus_client.parser import text_string_to_metric_families
from server_process import server

from tests.hang_guard import until


def body_of(num_videos):
    return {"instances": [{"frames": constant(1)}] * num_videos}


def read_metrics(text):
    """Returns each sample's value by its name and the values of its labels."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_metrics_count_requests_videos_and_batches():
    async def talk():
        predictor = fake_predictor()
        async with running(predictor, max_batch_size=4) as (client, _):
            for num_videos in (1, 3, 6):
                await client.post(PREDICT, json=body_of(num_videos))
            await client.post(PREDICT, content=b"[")
            await client.get("/no/such/path")
            await client.get("/another")
            return (await client.get("/metrics")), predictor._runtime.calls

    answer, calls = asyncio.run(talk())
    assert answer.headers["content-type"].startswith("text/plain; version=")
    found = read_metrics(answer.text)
    assert found["distill_requests_total", PREDICT, "200"] == 3
    assert found["distill_requests_total", PREDICT, "400"] == 1
    assert found["distill_requests_total", "other", "404"] == 2
    assert found["distill_videos_total",] == 10
    assert found["distill_request_seconds_count", PREDICT] == 4
    assert calls == [1, 3, 4, 2]
    buckets = [
        found["distill_batch_videos_bucket", size]
        for size in ("1.0", "2.0", "4.0", "+Inf")
    ]
    assert buckets == [1, 2, 4, 4]
    assert found["distill_batch_videos_sum",] == 10


def test_metrics_have_the_length_of_the_queue():
    predictor = fake_predictor()
    predictor._runtime.gate = gate = threading.Event()

    async def talk():
        options = {"max_batch_size": 2, "batch_delay_ms": 0.0}
        async with running(predictor, **options) as (client, service):
            held = []
            for num_videos in (2, 3):  # 2 at the model, 3 wait
                request = client.post(PREDICT, json=body_of(num_videos))
                held.append(asyncio.create_task(request))
                await until(lambda: predictor._runtime.calls == [2])
            await until(lambda: len(service.batcher._waiting) == 3)
            during = await client.get("/metrics")
            gate.set()
            await asyncio.gather(*held)
            return during, await client.get("/metrics")

    during, after = (read_metrics(a.text) for a in asyncio.run(talk()))
    assert during["distill_queue_videos",] == 3
    assert after["distill_queue_videos",] == 0


def test_the_access_log_has_a_line_a_request():
    with server("--access_log") as (process, port):
        place = f"http://127.0.0.1:{port}"
        body = json.dumps(body_of(3)).encode()
        urllib.request.urlopen(place + PREDICT, body).close()
        urllib.request.urlopen(place + "/healthz").close()
        lines = [process.stdout.readline() for _ in range(2)]
    time = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}"
    for line, request in zip(
        lines,
        (f"POST {PREDICT} 200 3 videos", "GET /healthz 200 0 videos"),
        strict=True,
    ):
        pattern = rf"{time} 127\.0\.0\.1 {re.escape(request)} \d+\.\d ms\n"
        assert re.fullmatch(pattern, line), line


@pytest.mark.parametrize("path", ["/a%0Ab", "/a%20b", "/" + "x" * 300])
def test_a_hostile_path_is_one_short_line_of_the_log(path, caplog):
    caplog.set_level("INFO", "distill.serving.access")
    ask("GET", path)
    (record,) = (r for r in caplog.records if r.name.endswith(".access"))
    assert f" GET {path[:200]} 404 " in record.getMessage()
