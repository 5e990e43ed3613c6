"""SIGHUP: another model answers, and no request is lost."""

import asyncio
import dataclasses
import json
import signal
import threading
import urllib.request

import numpy as np
import pytest
from fake_predictor import PREDICT, WIDTH, constant, fake_predictor, running
from mean_model import WEIGHTS, predict_mean, write_mean_model
from server_process import server
from test_monitoring import read_metrics

from distill.predictor import Predictor
from distill.serving.batching import Batcher
from distill.serving.reloading import load_checked
from tests.hang_guard import HANG_SECONDS
from tools.service_load.steady_clients import SteadyClients

OTHER = WEIGHTS[::-1] / 2


def best_of(port, value):
    """Returns the best probability of a video of one value."""
    body = json.dumps({"instances": [{"frames": [[value] * WIDTH]}]})
    place = f"http://127.0.0.1:{port}{PREDICT}"
    with urllib.request.urlopen(
        place, body.encode(), timeout=HANG_SECONDS
    ) as answer:
        return json.load(answer)["predictions"][0]["probabilities"][0]


def read(port, path):
    place = f"http://127.0.0.1:{port}{path}"
    with urllib.request.urlopen(place, timeout=HANG_SECONDS) as answer:
        return answer.read().decode()


def test_a_request_is_predicted_by_the_model_that_was_there_when_it_came():
    gate = threading.Event()

    def old(videos):
        gate.wait(HANG_SECONDS)
        return np.zeros([len(videos), 2])

    def new(videos):
        return np.ones([len(videos), 2])

    async def run():
        async with Batcher(old, 4, 0.0, 99) as batcher:
            tasks = []
            for model in (old, old, new):
                batcher.model = model
                videos = [np.zeros(1)] * 3
                tasks.append(asyncio.create_task(batcher.predict(videos)))
                await asyncio.sleep(0.05)
            gate.set()
            return await asyncio.gather(*tasks)

    answers = asyncio.run(run())
    assert [answer.tolist() for answer in answers] == [
        [[0, 0]] * 3,
        [[0, 0]] * 3,
        [[1, 1]] * 3,
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_frames": 7}, "has max_frames 7 instead of 5; restart the serv"),
        ({"feature_sizes": (3, 2)}, "has num_features 5 instead of 4"),
        ({"frame_features": False}, "has frame_features False instead of True"),
        (
            {"quantisation_max": 3.0},
            r"has quantisation_range \(-2.0, 3.0\) ins",
        ),
    ],
)
def test_a_model_of_other_videos_does_not_replace_the_present_one(
    change, message
):
    other = fake_predictor()
    schema = dataclasses.replace(other.interface.schema, **change)
    other.interface = dataclasses.replace(other.interface, schema=schema)

    async def talk():
        async with running(fake_predictor()) as (client, service):
            with pytest.raises(ValueError, match=message):
                service.replace(other)
            body = {"instances": [{"frames": constant(1)}]}
            return await client.post(PREDICT, json=body)

    assert asyncio.run(talk()).status_code == 200


def test_a_model_of_other_classes_does_not_replace_the_present_one():
    other = fake_predictor()
    names = (*other.class_names[:-1], "another")
    other.interface = dataclasses.replace(other.interface, class_names=names)

    async def talk():
        async with running(fake_predictor()) as (_, service):
            service.replace(other)

    with pytest.raises(ValueError, match="has other class names than the mod"):
        asyncio.run(talk())


def test_a_model_whose_prediction_is_not_finite_is_refused():
    predictor = fake_predictor()
    predictor._runtime = lambda inputs: np.full([1, 6], np.nan)
    with pytest.raises(ValueError, match="not finite"):
        load_checked(lambda: predictor)


@pytest.mark.parametrize("workers", [1, 2])
def test_sighup_loads_the_new_artifact_or_keeps_the_old_one(tmp_path, workers):
    path = tmp_path / "model.onnx"
    write_mean_model(path)
    with server(f"--workers={workers}", artifact=path) as (process, port):
        before = json.loads(read(port, "/v1/models/student/metadata"))
        assert best_of(port, 9) == pytest.approx(predict_mean(9).max())
        write_mean_model(path, weights=OTHER)
        process.send_signal(signal.SIGHUP)
        said = {process.stdout.readline() for _ in range(workers)}
        assert len(said) == workers
        assert all(s.startswith("reloaded model.onnx in proc") for s in said)
        expected = pytest.approx(predict_mean(9, OTHER).max())
        for _ in range(6):
            assert best_of(port, 9) == expected
        path.write_bytes(path.read_bytes()[:99])
        process.send_signal(signal.SIGHUP)
        errors = [process.stderr.readline() for _ in range(workers)]
        for line in errors:
            assert line.startswith(f"ERROR: Not reloaded: {path} cannot be lo")
            assert " goes on to serve." in line
        assert best_of(port, 9) == expected
        after = json.loads(read(port, "/v1/models/student/metadata"))
        found = read_metrics(read(port, "/metrics"))
        process.terminate()
        assert process.communicate(timeout=HANG_SECONDS) == ("", "")
        assert process.returncode == 0
    times = [m["metadata"]["model"]["loaded_at"] for m in (before, after)]
    assert times[0] <= times[1]
    assert found["distill_reloads_total", "ok"] == workers
    assert found["distill_reloads_total", "failed"] == workers
    assert found["distill_model_loaded_timestamp_seconds",] > 1e9


def test_no_request_is_lost_while_artifacts_take_turns(tmp_path):
    path = tmp_path / "model.onnx"
    predictors = []
    for weights in (OTHER, WEIGHTS):
        write_mean_model(path, weights=weights)
        predictors.append(Predictor.load(path))
    with (
        server(artifact=path) as (process, port),
        SteadyClients(port, predictors, 3, seed=1) as clients,
    ):
        clients.wait_for_answers()
        for weights in (OTHER, WEIGHTS, OTHER):
            write_mean_model(path, weights=weights)
            process.send_signal(signal.SIGHUP)
            assert process.stdout.readline().startswith("reloaded ")
            clients.wait_for_answers()
        tally = clients.take()
    assert (tally.wrong, tally.lost, tally.refused) == (0, 0, 0)
    assert set(tally.answers) == {0, 1}
