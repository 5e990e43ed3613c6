"""Two workers, or two replicas, give the results of one process."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import stage_runs
import worker_runs
from stored_files import checkpoint_steps, read_datasets, read_log

from distill.checkpoints.checkpoint import read_progress
from distill.distributed.launcher import free_ports, worker_config
from distill.distributed.workers import Workers
from tests.hang_guard import HANG_SECONDS

pytestmark = pytest.mark.nightly
LAST = "checkpoint-00000010.h5"


def start(program, *arguments, **environment):
    """Starts a program beside this file."""
    here = stage_runs.ROOT / "tests" / "stages"
    paths = {"PYTHONPATH": os.pathsep.join([str(stage_runs.ROOT), str(here)])}
    return subprocess.Popen(
        [sys.executable, str(here / program), *map(str, arguments)],
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"} | paths | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(processes):
    """Waits for processes; returns what they printed."""
    outputs = [
        process.communicate(timeout=HANG_SECONDS)[0] for process in processes
    ]
    for process, output in zip(processes, outputs, strict=True):
        assert process.returncode == 0, output[-3000:]
    return outputs


def run_two(program, *arguments):
    """Runs a program as two workers; returns what each printed."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    configs = [worker_config(addresses, rank) for rank in range(2)]
    return finish(
        [start(program, *arguments, TF_CONFIG=config) for config in configs]
    )


@pytest.fixture(scope="module")
def two_workers(videos, tmp_path_factory):
    """Returns the directory, the reports and the output of two workers."""
    directory = tmp_path_factory.mktemp("two_workers")
    outputs = run_two("worker_program.py", videos, directory)
    reports = [
        json.loads((directory / f"report-{rank}.json").read_text())
        for rank in range(2)
    ]
    return directory, reports, outputs


@pytest.fixture(scope="module")
def two_replicas(videos, tmp_path_factory):
    """Returns the directory of one process with two replicas."""
    directory = tmp_path_factory.mktemp("two_replicas")
    finish([start("mirrored_program.py", videos, directory)])
    return directory


@pytest.fixture(scope="module")
def one_process(videos, tmp_path_factory):
    """Returns the directory of one process with two accumulation steps."""
    directory = tmp_path_factory.mktemp("one_process")
    for name, steps in (("joint", 2), ("finetuned", 2), ("batch_norm", 1)):
        worker_runs.train(name, videos, directory, accumulate_steps=steps)
    worker_runs.train(
        "batch_norm", videos, directory / "in_two_steps", accumulate_steps=2
    )
    return directory


@pytest.fixture(params=["workers", "replicas"])
def directory_of_two(request):
    """Returns the directory of two workers, or of two replicas."""
    if request.param == "workers":
        return request.getfixturevalue("two_workers")[0]
    return request.getfixturevalue("two_replicas")


@pytest.mark.parametrize("run", ["joint", "finetuned"])
def test_two_train_the_weights_of_one(directory_of_two, one_process, run):
    """Bit for bit, with dropout, mixup and EMA, of equal micro-batches.

    None of these networks has a batch normalisation.
    """
    found = read_datasets(directory_of_two / run / LAST)
    expected = read_datasets(one_process / run / LAST)
    assert found.keys() == expected.keys()
    for name in expected:
        assert found[name].tobytes() == expected[name].tobytes(), name


def test_batch_statistics_are_those_of_the_whole_batch(
    directory_of_two, one_process
):
    """Compared with one process that takes every batch at once."""
    found = read_datasets(directory_of_two / "batch_norm" / LAST, "student")
    expected = read_datasets(one_process / "batch_norm" / LAST, "student")
    assert any("moving_variance" in name for name in expected)
    for name in expected:
        np.testing.assert_allclose(
            found[name], expected[name], rtol=1e-4, atol=1e-5, err_msg=name
        )


def test_batch_statistics_of_accumulation_steps_are_their_own(
    directory_of_two, one_process
):
    """So two do not train as one process with two accumulation steps."""
    run = one_process / "in_two_steps" / "batch_norm"
    found = read_datasets(directory_of_two / "batch_norm" / LAST, "student")
    others = read_datasets(run / LAST, "student")
    (name,) = (n for n in found if n.endswith("moving_variance"))
    assert np.max(np.abs(found[name] / others[name] - 1)) > 1e-3
    changed = {n for n in found if found[n].tobytes() != others[n].tobytes()}
    assert changed == found.keys()


def test_losses_and_validation_are_logged_for_all_workers(
    two_workers, one_process
):
    runs = (two_workers[0], one_process)
    lines = [read_log(directory / "finetuned") for directory in runs]
    steps = [[x for x in log if x["kind"] == "step"] for log in lines]
    scores = [[x for x in log if x["kind"] == "evaluation"] for log in lines]
    assert len(steps[0]) == len(steps[1]) == 1
    assert steps[0][0]["loss"] == pytest.approx(steps[1][0]["loss"], 1e-6)
    for found, expected in zip(*scores, strict=True):
        for name in ("gap", "perr", "loss", "mean_average_precision"):
            assert found[name] == pytest.approx(expected[name], abs=1e-6)
        assert found["num_videos"] == stage_runs.NUM_VALIDATE_VIDEOS


def test_the_chief_alone_writes_and_prints(two_workers):
    directory, reports, outputs = two_workers
    assert [report["rank"] for report in reports] == [0, 1]
    assert "student val" in outputs[0]
    assert "step" not in outputs[1]
    names = {path.name for path in (directory / "joint").iterdir()}
    assert "settings.json" in names
    assert not [name for name in names if name.endswith((".tmp", ".part"))]


def test_workers_with_files_of_their_own_train_on_every_record(two_workers):
    """Of 3 files of 24 videos one has two, the other one: 6 steps, then 3."""
    directory = two_workers[0] / "files"
    steps = [6, 12]
    assert checkpoint_steps(directory) == [2, 4, 6, 8, 10, 12]
    for epoch, step in enumerate(steps, start=1):
        progress = read_progress(directory / f"checkpoint-{step:08d}.h5")
        assert progress["examples_seen"] == 72 * epoch
        assert (progress["epoch"], progress["positions"]) == (epoch, ())
    assert (directory / "best.h5").exists()
    scores = [line for line in read_log(directory) if "num_videos" in line]
    assert [line["step"] for line in scores] == steps


def test_one_process_goes_on_from_the_middle_of_two_workers_epoch(
    two_workers, videos, tmp_path
):
    """It ends their two streams; its next epoch has one stream."""
    directory = tmp_path / "files"
    directory.mkdir()
    name = "checkpoint-00000004.h5"
    shutil.copy(two_workers[0] / "files" / name, directory)
    progress = read_progress(directory / name)
    assert progress["examples_seen"] == sum(progress["positions"])
    assert len(progress["positions"]) == 2
    worker_runs.train("files", videos, tmp_path)
    # As many steps for the rest, and 5 of 16 videos for the next epoch.
    assert checkpoint_steps(directory) == [4, 6, 8, 10, 11]
    found = read_progress(directory / "checkpoint-00000011.h5")
    assert (found["examples_seen"], found["epoch"]) == (144, 2)


def test_arrays_are_summed_and_gathered_whatever_their_size(two_workers):
    for report in two_workers[1]:
        assert report["sum"] == [3.0, 1.0]
        assert report["gathered"] == {
            "float64": [[0.5, 0.0], [0.5, 1.0]],
            "int32": [[0], [1, 1]],
            "bool": [[True, False], [True]],
            "float32": [[], [[np.float32(0.1)] * 2]],
        }
        assert report["wrong"] == "Different steps (by worker: 0, 1)"


@pytest.mark.parametrize("shard_by", ["file", "batch"])
def test_scores_of_two_workers_are_those_of_one(two_workers, videos, shard_by):
    directory, reports, _ = two_workers
    expected = worker_runs.score(
        directory / "joint", videos, Workers(), shard_by
    )
    for report in reports:
        found = report[shard_by]
        assert found["num_videos"] == stage_runs.NUM_VALIDATE_VIDEOS
        for name, value in expected.items():
            if name != "examples_per_second":
                assert found[name] == pytest.approx(value, abs=2e-6), name


def test_predictions_of_two_are_those_of_one(
    two_workers, two_replicas, videos, tmp_path
):
    """Shared by batch the same bytes, shared by file the same lines."""
    directory = two_workers[0]
    alone = Workers()
    worker_runs.predict(directory / "joint", videos, tmp_path, alone, "file")
    expected = (tmp_path / "predictions-file.csv").read_text()
    assert (directory / "predictions-batch.csv").read_text() == expected
    for found in (directory, two_replicas):
        found = (found / "predictions-file.csv").read_text()
        assert_same_predictions(found, expected)


def assert_same_predictions(found, expected):
    """Asserts that two CSV files hold the same scores of the same videos."""
    scores = [
        {
            video: np.array(pairs.split(), float)
            for video, pairs in (
                line.split(",") for line in text.splitlines()[1:]
            )
        }
        for text in (found, expected)
    ]
    assert scores[0].keys() == scores[1].keys()
    for video, expected_scores in scores[1].items():
        np.testing.assert_allclose(scores[0][video], expected_scores, atol=2e-6)


def test_the_chief_may_end_after_the_others(tmp_path):
    os.mkfifo(tmp_path / "gathered")
    outputs = run_two("leaving_program.py", tmp_path / "gathered")
    assert "the chief has ended" in outputs[0]
