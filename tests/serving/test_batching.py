"""Concurrent requests share calls of the model and keep their answers."""

import asyncio
import threading

import numpy as np
import pytest
from fake_predictor import PREDICT, constant, expected, fake_predictor, running

from distill.serving.batching import Batcher
from tests.hang_guard import HANG_SECONDS, until

# Seconds or milliseconds.
FOR_EVER = 1e9


def instances(*values):
    return {"instances": [{"frames": constant(v)} for v in values]}


def means_of(answer):
    """Returns the means of an answer's videos, by class 5's probability."""
    best = [row["probabilities"][0] for row in answer.json()["predictions"]]
    return np.round((np.array(best) - expected(0)[5]) * 1600, 3).tolist()


def talk(bodies, predictor, **options):
    """Returns the answers to requests that are made at once."""

    async def answer():
        async with running(predictor, **options) as (client, _):
            return await asyncio.gather(
                *(client.post(PREDICT, json=body) for body in bodies)
            )

    return asyncio.run(answer())


def test_concurrent_requests_share_calls_and_get_their_own_answers():
    predictor = fake_predictor()
    bodies = [instances(*range(v, v + 1 + v % 3)) for v in range(14, 54)]
    # 81 videos: three full batches.
    options = {"max_batch_size": 27, "batch_delay_ms": FOR_EVER}
    answers = talk(bodies, predictor, **options)
    calls = predictor._runtime.calls
    assert calls == [27] * 3
    assert sum(calls) == sum(1 + v % 3 for v in range(14, 54))
    for value, answer in zip(range(14, 54), answers, strict=True):
        assert means_of(answer) == list(range(value, value + 1 + value % 3))


def test_a_request_larger_than_a_batch_is_split_and_keeps_its_order():
    predictor = fake_predictor()
    (answer,) = talk([instances(*range(20, 45))], predictor, max_batch_size=10)
    assert predictor._runtime.calls == [10, 10, 5]
    assert means_of(answer) == list(range(20, 45))


def test_a_full_batch_does_not_wait():
    async def run():
        async with Batcher(
            lambda v: np.zeros([len(v), 2]), 3, FOR_EVER, 9
        ) as batcher:
            async with asyncio.timeout(HANG_SECONDS):
                return await batcher.predict([np.zeros(1)] * 3)

    assert asyncio.run(run()).shape == (3, 2)


def test_a_failing_batch_fails_its_requests_alone():
    predictor = fake_predictor()
    bodies = [instances(value) for value in (1, 13, 2, 3)]
    bodies.append({"instances": [{"frames": [[1]]}]})
    options = {"max_batch_size": 2, "batch_delay_ms": FOR_EVER}
    answers = talk(bodies, predictor, **options)
    assert [a.status_code for a in answers] == [500, 500, 200, 200, 400]
    assert means_of(answers[3]) == [3]


def test_a_full_queue_is_answered_503_and_empties_again():
    predictor = fake_predictor()
    predictor._runtime.gate = gate = threading.Event()

    async def run():
        async with running(
            predictor, max_queue=4, max_batch_size=2, batch_delay_ms=0.0
        ) as (client, service):
            held = []
            for number, value in enumerate((21, 22, 23)):
                body = instances(value, value)
                held.append(
                    asyncio.create_task(client.post(PREDICT, json=body))
                )
                # 2 at the model, 4 wait.
                await until(lambda: predictor._runtime.calls == [2])
                waiting = service.batcher._waiting
                await until(lambda n=number, w=waiting: len(w) == 2 * n)
            refused = await client.post(PREDICT, json=instances(24))
            health = await client.get("/healthz")  # the loop is free meanwhile
            gate.set()
            answers = await asyncio.gather(*held)
            again = await client.post(PREDICT, json=instances(24))
            return refused, health, answers, again

    refused, health, answers, again = asyncio.run(run())
    assert refused.status_code == 503
    assert refused.json() == {"error": "The queue is full; try later."}
    assert refused.headers["retry-after"] == "1"
    assert health.status_code == 200
    assert [means_of(a) for a in answers] == [[21, 21], [22, 22], [23, 23]]
    assert means_of(again) == [24]


def test_videos_of_cancelled_requests_are_left_out():
    calls, gate = [], threading.Event()

    def predict(videos):
        calls.append([int(video[0]) for video in videos])
        gate.wait(HANG_SECONDS)
        return np.zeros([len(videos), 2])

    async def run():
        async with Batcher(predict, 4, 0.0, 9) as batcher:
            tasks = []
            for number, value in enumerate((1, 2, 3)):
                videos = [np.full(1, value)]
                tasks.append(asyncio.create_task(batcher.predict(videos)))
                await until(lambda: calls == [[1]])
                await until(lambda n=number: len(batcher._waiting) == n)
            tasks[1].cancel()
            gate.set()
            await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(run())
    assert calls == [[1], [3]]


def test_waiting_videos_are_cancelled_at_the_end():
    async def run():
        async with Batcher(lambda v: v, 4, FOR_EVER, 9) as batcher:
            task = asyncio.create_task(batcher.predict([np.zeros(1)]))
            await until(lambda: len(batcher._waiting) == 1)
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())


def test_a_wrong_number_of_predictions_is_an_error():
    async def run():
        async with Batcher(lambda v: np.zeros([1, 2]), 4, 0, 9) as batcher:
            await batcher.predict([np.zeros(1)] * 2)

    with pytest.raises(RuntimeError, match=r"array \(1, 2\) for 2 videos"):
        asyncio.run(run())
