"""Evaluation and inference of drawn predictions: results and memory."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from distill.metrics.score_store import ScoreStore
from tools.benchmark.plain_metrics import PlainVideoMetrics
from tools.predictions.measurement import (
    Sampler,
    count_temporary_bytes,
    evaluate,
    infer,
    measure,
)
from tools.predictions.stream import PredictionStream
from tools.process_memory import (
    peak_bytes,
    resident_bytes,
    run_in_new_process,
)

ROOT = Path(__file__).parents[2]
SMALL = PredictionStream(num_videos=700, num_classes=60, batch_size=64)


def all_of(stream):
    """Returns all predictions and labels at once."""
    batches = list(stream.batches())
    return (
        np.concatenate([batch.predictions for batch in batches]),
        np.concatenate([batch.labels for batch in batches]),
    )


def average_precision(scores, labels):
    """Returns a class's average precision, ranked by sorting alone."""
    ranked = labels[np.argsort(-scores.astype(np.float64), kind="stable")]
    precisions = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
    return precisions[ranked].mean()


def test_predictions_follow_from_the_seed_and_hold_labels():
    scores, labels = all_of(SMALL)
    assert scores.shape == labels.shape == (700, 60)
    assert scores.dtype == np.float32
    assert labels.dtype == bool
    assert scores.min() >= 0
    assert scores.max() < 1
    counts = labels.sum(axis=1)
    assert counts.min() >= 1
    assert counts.max() == 3
    np.testing.assert_array_equal(scores, all_of(SMALL)[0])
    ids = [name for batch in SMALL.batches() for name in batch.ids]
    assert len(set(ids)) == 700


def test_evaluation_of_the_stream_is_that_of_all_at_once():
    scores, labels = all_of(SMALL)
    sampler = Sampler(SMALL.num_videos)
    found = evaluate(SMALL, sampler)
    plain = PlainVideoMetrics(SMALL.num_classes)
    plain.update(scores, labels)
    for name, value in plain.result().items():
        assert found[name] == pytest.approx(value, abs=1e-6), name
    held = np.flatnonzero(labels.any(axis=0))
    precisions = [average_precision(scores[:, c], labels[:, c]) for c in held]
    assert found["mean_average_precision"] == pytest.approx(
        np.mean(precisions), abs=1e-6
    )
    assert 0.1 < found["gap"] < 0.99
    videos = [sample["videos"] for sample in sampler.samples]
    assert len(videos) == 11
    assert videos[0] == 0
    assert videos[-1] == 700
    for index, count in enumerate(videos[1:], start=1):
        assert index * 70 <= count < index * 70 + SMALL.batch_size


def test_inference_of_the_stream_writes_the_best_classes(tmp_path):
    scores, _ = all_of(SMALL)
    sampler = Sampler(SMALL.num_videos)
    infer(SMALL, sampler, tmp_path / "a.csv")
    with open(tmp_path / "a.csv", newline="") as file:
        _, *rows = csv.reader(file)
    assert len(rows) == 700
    for index, (name, pairs) in enumerate(rows):
        assert name == f"v{index:07d}"
        words = pairs.split()
        best = np.argsort(-scores[index], kind="stable")[:20]
        assert list(map(int, words[::2])) == best.tolist()
        expected = [f"{score:.6f}" for score in scores[index, best]]
        assert words[1::2] == expected


def test_temporary_files_without_a_name_are_counted():
    before = count_temporary_bytes()
    store = ScoreStore(megabytes=0.001)
    store.append(np.zeros((100, 10), np.float32))
    assert count_temporary_bytes() - before == 4000
    del store
    assert count_temporary_bytes() == before


def test_memory_is_what_the_system_reports():
    before = resident_bytes()
    held = np.ones(40 << 20, np.uint8)
    assert 35 < (resident_bytes() - before) / 2**20 < 60
    assert peak_bytes() >= before + held.nbytes - 5 * 2**20


def test_a_new_process_has_a_peak_of_its_own():
    held = np.ones(200 << 20, np.uint8)
    assert run_in_new_process(peak_bytes) < peak_bytes() - held.nbytes / 2


def test_too_few_videos_are_refused():
    with pytest.raises(ValueError, match="num_videos must be 10240 or more"):
        PredictionStream(num_videos=10_239)


@pytest.mark.slow
@pytest.mark.parametrize("work", ["evaluation", "inference"])
def test_memory_does_not_grow_with_the_scores(work):
    stream = PredictionStream(num_videos=250_000, num_classes=400)
    found = run_in_new_process(measure, work, stream)
    score_megabytes = 250_000 * 400 * 4 / 2**20
    grown = [sample["megabytes"] for sample in found["samples"]]
    # Of 381 MB of scores 64 are held, and of each video's best as many; 13
    # bytes a label stay.
    bound = 200 if work == "evaluation" else 40
    assert score_megabytes > 300
    assert max(grown) - grown[1] < bound
    assert found["peak_megabytes"] - grown[0] < score_megabytes
    temporary = found["samples"][-1]["temporary_bytes"]
    assert (temporary > 3e8) == (work == "evaluation")


@pytest.mark.slow
def test_the_tool_prints_and_writes_the_figures(tmp_path):
    path = tmp_path / "figures" / "a.json"
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tools.predictions",
            "--num_videos=700",
            "--num_classes=60",
            "--batch_size=64",
            f"--output_json={path}",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "MB resident after 700 videos" in done.stdout
    report = json.loads(path.read_text())
    evaluation, inference = report["works"]
    for name, value in evaluate(SMALL, Sampler(700)).items():
        assert evaluation["result"][name] == pytest.approx(value)
    assert inference["work"] == "inference"
    assert inference["videos_per_second"] > 0


def test_a_measurement_holds_times_samples_and_the_result():
    found = measure("inference", SMALL)
    assert found["seconds"] > found["seconds_drawing"] > 0
    assert found["result"]["csv_megabytes"] > 0.1
    assert len(found["samples"]) == 11
