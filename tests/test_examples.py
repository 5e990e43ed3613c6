"""The examples run as they stand."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Returns the folder in which the examples run, one after another."""
    return tmp_path_factory.mktemp("examples")


def run(program, folder):
    """Runs a file of Python; returns the lines that it prints."""
    done = subprocess.run(
        [sys.executable, ROOT / program],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


@pytest.mark.slow
def test_the_quick_start_s_networks_learn_and_are_deployed(folder):
    lines = run("examples/quick_start.py", folder)
    gaps = re.findall(r"^(\w+): GAP (0\.\d+)", "\n".join(lines), re.MULTILINE)
    assert [role for role, _ in gaps] == ["teacher", "student"]
    # The classes' frequencies alone have a GAP of .46.
    assert all(float(gap) > 0.55 for _, gap in gaps)
    lines = run("examples/deploy.py", folder)[-5:]
    found = {line.split(":")[0]: line for line in lines}
    for name in ("model.onnx", "model.tflite"):
        assert float(found[name].split()[-1]) < 1e-4
    assert "model_int8.onnx" in found


@pytest.mark.slow
def test_own_arrays_are_recognised_in_25_lines(folder):
    text = (ROOT / "examples" / "own_arrays.py").read_text(encoding="utf-8")
    code = text.split('"""')[2]
    assert len([line for line in code.splitlines() if line]) <= 25
    last = run("examples/own_arrays.py", folder)[-1]
    assert int(re.findall(r"recognised (\d+) of 100", last)[0]) > 90


@pytest.mark.slow
def test_soft_labels_teach_more_than_few_labels(folder):
    lines = run("examples/soft_labels.py", folder)[-3:]
    teacher, few, soft = (float(line.split(": ")[1]) for line in lines)
    assert teacher > soft > few + 0.03


def test_all_stages_take_25_lines_of_python():
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(code.replace("\n\n", "\n").splitlines()) <= 25
