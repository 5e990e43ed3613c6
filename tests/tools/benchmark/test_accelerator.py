"""The part `accelerator`, on every installed backend, without TensorFlow."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.backends.process import installed_backends
from tools.benchmark.accelerator import build_work, works
from tools.benchmark.plan import SMALL, Plan

ROOT = Path(__file__).parents[3]
OTHERS = [name for name in installed_backends() if name != "tensorflow"]

# Runs a module's code where TensorFlow cannot be imported.
WITHOUT_TENSORFLOW = """
import sys
sys.modules["tensorflow"] = None
"""
RUN_THE_PART = """
import runpy
runpy.run_module("tools.benchmark", run_name="__main__", alter_sys=True)
"""
# Trains the teacher by Keras's loop and unrolled, from the same weights.
TRAIN_BOTH = """
import json
import keras
from distill.models.unrolled_lstm import unrolling
from tools.benchmark.accelerator import build_work, training_call, works
from tools.benchmark.plan import SMALL

losses, weights = {}, None
for work in list(works(SMALL.sizes))[:2]:
    keras.utils.set_random_seed(3)
    model = build_work(SMALL.sizes, work, "float32")
    step = training_call(model, SMALL.sizes)
    with unrolling(work.unrolled):
        losses[work.name] = [float(step()) for _ in range(3)]
print(json.dumps(losses))
"""


def run_without_tensorflow(backend, code, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_TENSORFLOW + code, *arguments],
        cwd=ROOT,
        env=os.environ
        | {
            "KERAS_BACKEND": backend,
            "XLA_FLAGS": "--xla_backend_optimization_level=0",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(params=["jax", "torch"])
def backend(request):
    """Returns a backend that is installed."""
    if request.param not in OTHERS:
        pytest.skip(f"{request.param} is not installed (an extra)")
    return request.param


@pytest.mark.nightly
def test_every_work_has_a_rate_and_the_table_names_the_goal(backend, tmp_path):
    path = tmp_path / "figures.json"
    output = run_without_tensorflow(
        backend,
        RUN_THE_PART,
        *("accelerator", "--small_sizes", "--repeats=1", "--batch_size=3"),
        f"--output_json={path}",
    )
    assert "matrix product" in output
    report = json.loads(path.read_text())
    assert report["date"]
    assert {"processor", backend} <= set(report["machine"])
    rows = report["rows"]
    # Four works in two precisions, each forward and in training.
    assert len({row["name"] for row in rows}) == len(rows) == 16
    for row in rows:
        assert row["figure"] > 0
        assert row["details"]["batch_size"] == 3
    assert [row["name"] for row in rows if row["target"]] == [
        "teacher, scan, bfloat16, forward",
        "teacher, unrolled, bfloat16, forward",
    ]


@pytest.mark.slow
def test_scanned_and_unrolled_teachers_train_alike(backend):
    output = run_without_tensorflow(backend, TRAIN_BOTH)
    losses = json.loads(output.splitlines()[-1])
    scanned, unrolled = losses.values()
    assert unrolled == pytest.approx(scanned, rel=1e-5)
    assert scanned[2] < scanned[0]


def test_the_works_of_the_full_plan_have_the_references_sizes():
    teacher, _, netvlad, nextvlad = works(Plan().sizes)
    assert teacher.arguments == {"lstm_cells": 1024, "num_inputs_to_lstm": 20}
    assert list(netvlad.arguments.values()) == [256, 1024]
    assert list(nextvlad.arguments.values()) == [128, 2048]


@pytest.mark.parametrize("index", range(4))
def test_every_work_is_built_small(index):
    work = list(works(SMALL.sizes))[index]
    model = build_work(SMALL.sizes, work, "bfloat16")
    assert model.macs(SMALL.sizes.max_frames) > 0
