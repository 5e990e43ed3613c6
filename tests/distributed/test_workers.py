"""Ranks by TF_CONFIG and flags, lost workers, and launched ones."""

import json
import signal

import numpy as np
import pytest
import tensorflow as tf

from distill.distributed.devices import (
    read_cluster,
    start_workers,
)
from distill.distributed.launcher import (
    free_ports,
    launch_workers,
    worker_config,
)
from distill.distributed.workers import WorkerLostError, Workers
from tests.hang_guard import HANG_SECONDS


def config(kind="worker", index=0, **jobs):
    jobs = jobs or {"worker": ["a:1", "b:2"]}
    task = {"type": kind, "index": index}
    return json.dumps({"cluster": jobs, "task": task})


def test_ranks_begin_with_the_chief():
    assert read_cluster(config(index=1)) == (["a:1", "b:2"], 1)
    jobs = {"worker": ["a:1", "b:2"], "chief": ["c:3"]}
    for kind, rank in (("chief", 0), ("worker", 1)):
        found = read_cluster(config(kind, 0, **jobs))
        assert found == (["c:3", "a:1", "b:2"], rank)
    found = read_cluster(worker_config(["a:1", "b:2", "c:3"], 2))
    assert found == (["a:1", "b:2", "c:3"], 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not of the form"),
        ("[]", "not of the form"),
        ("{", "not of the form"),
        ('{"cluster": {}}', "not of the form"),
        ('{"cluster": {"worker": 3}, "task": {}}', "not of the form"),
        (config(index="x"), "not of the form"),
        (config(ps=["a:1"]), r"the jobs \['ps'\]; known are chief and worker"),
        (config(index=2), "the task worker 2, which is not among"),
        (config(index=-1), "the task worker -1"),
        (config("chief"), "the task chief 0"),
    ],
)
def test_a_wrong_tf_config_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        read_cluster(text)


def test_several_workers_need_tf_config(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(ValueError, match="--strategy=multi_worker needs TF_CO"):
        start_workers("multi_worker")
    with pytest.raises(ValueError, match="Did you mean 'mirrored'"):
        start_workers("mirror")


@pytest.mark.parametrize("strategy", ["auto", "single", "mirrored"])
def test_one_device_needs_no_strategy(monkeypatch, strategy):
    monkeypatch.setenv("TF_CONFIG", config(worker=["a:1"]))
    workers = start_workers(strategy)
    assert workers == Workers()
    assert workers.strategy is tf.distribute.get_strategy()
    values = np.arange(3)
    assert workers.sum(values).tolist() == [0, 1, 2]
    assert [v.tolist() for v in workers.gather(values)] == [[0, 1, 2]]
    workers.check_equal(3, "never")


def test_a_lost_worker_is_reported():
    error = tf.errors.UnavailableError(
        None, None, "Graph error:\n\nOps is aborted by: reset by peer\n[[x]]"
    )
    message = r"worker 1 of 2: another worker is gone .*reset by peer\)$"
    for workers, expected, match in (
        (Workers(rank=1, num_workers=2), WorkerLostError, message),
        (Workers(), tf.errors.UnavailableError, "reset by peer"),
    ):
        with (
            pytest.raises(expected, match=match),
            workers.report_lost_worker(),
        ):
            raise error


class LeftWorkers(Workers):
    """Workers of which another has ended."""

    def wait(self):
        raise tf.errors.UnavailableError(None, None, "Socket closed")


def test_a_worker_that_ends_after_the_work_is_not_lost():
    workers = LeftWorkers(num_workers=2)
    with workers.exit_barrier():
        pass
    with (
        pytest.raises(WorkerLostError, match="another worker is gone"),
        workers.exit_barrier(),
    ):
        workers.wait()
    with pytest.raises(ValueError, match="its own"), workers.exit_barrier():
        raise ValueError("its own")


def test_free_ports_differ():
    assert len(set(free_ports(20))) == 20


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Returns the name of a module that workers run."""
    (tmp_path / "worker_to_try.py").write_text(
        "import json, os, signal, sys, time\n"
        "saved = []\n"
        "def save(*_):\n"
        "    print('saves', flush=True)\n"
        "    saved.append(1)\n"
        "rank = json.loads(os.environ['TF_CONFIG'])['task']['index']\n"
        "print(f'worker {rank} of {sys.argv[1:]}', flush=True)\n"
        "if sys.argv[1] == 'fail' and rank == 0:\n"
        f"    time.sleep({HANG_SECONDS})\n"
        "if sys.argv[1] == 'save' and rank == 0:\n"
        "    signal.signal(signal.SIGTERM, save)\n"
        "    open(__file__ + '.ready', 'w').close()\n"
        "    while not saved: time.sleep(0.01)\n"
        "    time.sleep(2)\n"  # A second signal would come by then.
        "if sys.argv[1] == 'save' and rank:\n"
        "    while not os.path.exists(__file__ + '.ready'): time.sleep(0.01)\n"
        "fails = sys.argv[1] == 'fail' or (sys.argv[1] == 'save' and rank)\n"
        "sys.exit(3 if fails else 0)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return "worker_to_try"


def test_workers_are_launched_with_their_ranks(program, capsys):
    assert launch_workers(2, [program, "--a", "b"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sorted(lines) == [
        f"[{rank}] worker {rank} of ['--a', 'b']" for rank in range(2)
    ]


def test_launched_workers_end_once_one_has_failed(program):
    status = launch_workers(3, [program, "fail"], patience_seconds=0.5)
    # The first worker would end with status 3 by itself.
    assert status == 128 + signal.SIGTERM


def test_a_launched_worker_that_saves_is_terminated_once(program, capsys):
    """A second signal would interrupt its saving."""
    assert launch_workers(2, [program, "save"], patience_seconds=0.5) == 3
    assert capsys.readouterr().out.count("saves") == 1
