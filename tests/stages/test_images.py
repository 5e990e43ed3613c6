"""The images: built and run, or their steps followed in a bare environment."""

import json
import os
import shutil
import subprocess
import sys
import tomllib
import urllib.request

import numpy as np
import pytest
import stage_runs
from stage_runs import DATA_FLAGS, ROOT, to_flags

from distill.networks.loading import load_network
from tests.hang_guard import HANG_SECONDS

# Run in the serving image: the example's predictions by both runtimes.
PREDICT = """
import importlib.util, json, sys
import numpy as np
import distill

assert importlib.util.find_spec("tensorflow") is None
assert importlib.util.find_spec("keras") is None
example = np.load(sys.argv[1] + "/example.npz")
video = example["frames"][0, : example["num_frames"][0]]
found = [
    distill.Predictor.load(f"{sys.argv[1]}/{name}").probabilities([video])
    for name in ("model.onnx", "model.tflite")
]
print(json.dumps([rows[0].tolist() for rows in found]))
"""


def steps(dockerfile):
    """Yields each instruction of a Dockerfile and its argument."""
    for line in (ROOT / dockerfile).read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            yield line.split(" ", 1)


def has_engine():
    """Returns whether Docker is there and can build."""
    if shutil.which("docker") is None:
        return False
    done = subprocess.run(["docker", "info"], capture_output=True, check=False)
    return done.returncode == 0


def run(command, **options):
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build_image(dockerfile, shared):
    """Builds an image; returns how to run `python` in it."""
    tag = f"distill-test-{dockerfile.lower()}"
    run(["docker", "build", "-f", dockerfile, "-t", tag, "."], cwd=ROOT)
    options = ["--rm", "--network=host", f"--user={os.getuid()}"]
    options += [f"-v={shared}:{shared}", "--entrypoint=python"]
    return ["docker", "run", *options, tag], {}


def follow_steps(dockerfile, root):
    """Follows a Dockerfile in a folder; returns how to run its `python`."""
    run([sys.executable, "-m", "venv", str(root / "env")])
    search = f"{root / 'env' / 'bin'}:{os.environ['PATH']}"
    names = ("PYTHONPATH", "PYTHONHOME")
    env = {k: v for k, v in os.environ.items() if k not in names}
    env["PATH"], cwd = search, root
    for word, rest in steps(dockerfile):
        if word == "WORKDIR":
            cwd = root / rest.lstrip("/")
            cwd.mkdir(parents=True, exist_ok=True)
        elif word == "COPY":
            *sources, target = rest.split()
            for source in sources:
                if (ROOT / source).is_dir():
                    ignore = shutil.ignore_patterns("__pycache__")
                    shutil.copytree(ROOT / source, cwd / target, True, ignore)
                else:
                    shutil.copy(ROOT / source, cwd / target)
        elif word == "ARG":
            env |= dict([rest.split("=")])
        elif word == "RUN":
            run(["bash", "-ec", rest], cwd=cwd, env=env)
        else:
            others = ("FROM", "ENV", "USER", "EXPOSE", "ENTRYPOINT")
            assert word in others, word
    return ["python"], {"cwd": cwd, "env": env}


def prepare(dockerfile, folder, shared):
    """Returns the command of `python`, of the entry point, and options."""
    if has_engine():
        python, options = build_image(dockerfile, shared)
    else:
        (folder / "image").mkdir()
        python, options = follow_steps(dockerfile, folder / "image")
    first, *words = json.loads(dict(steps(dockerfile))["ENTRYPOINT"])
    assert first == "python"
    return python, [*python, *words], options


def test_the_slim_requirements_are_those_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    known = {*project["dependencies"]}
    for name in ("serve", "onnx", "litert"):
        known |= set(extras[name])
    lines = (ROOT / "requirements-serve.txt").read_text().splitlines()
    slim = {line for line in lines if not line.startswith("#")}
    assert slim <= known
    assert {*extras["serve"], *extras["litert"]} <= slim


@pytest.mark.slow
def test_the_serving_image_predicts_and_serves_without_tensorflow(
    student_checkpoint, reader, tmp_path
):
    export = stage_runs.write_export(
        student_checkpoint,
        load_network(student_checkpoint, "student"),
        reader,
        tmp_path / "export",
        ["onnx", "litert"],
    )
    python, serve, options = prepare("Dockerfile", tmp_path, tmp_path)
    example = np.load(export / "example.npz")
    expected = example["predictions"][0]
    found = json.loads(run([*python, "-c", PREDICT, str(export)], **options))
    np.testing.assert_allclose(found, [expected] * 2, atol=1e-5)
    frames = example["frames"][0, : example["num_frames"][0]]
    body = {
        "instances": [{"frames": frames.tolist()}],
        "parameters": {"full": True},
    }
    flags = [f"--artifact={export}/model.tflite", "--port=0", "--workers=2"]
    with subprocess.Popen(
        [*serve, *flags], stdout=subprocess.PIPE, text=True, **options
    ) as service:
        try:
            place = service.stdout.readline().split(" at ")[1].strip()
            request = urllib.request.Request(
                f"{place}:predict", json.dumps(body).encode()
            )
            with urllib.request.urlopen(
                request, timeout=HANG_SECONDS
            ) as answer:
                (row,) = json.load(answer)["predictions"]
        finally:
            service.terminate()
    np.testing.assert_allclose(row["predictions"], expected, atol=1e-5)


@pytest.mark.nightly
def test_the_training_image_trains(videos, tmp_path):
    shutil.copytree(videos, tmp_path / "videos")
    _, distill, options = prepare("Dockerfile.train", tmp_path, tmp_path)
    flags = DATA_FLAGS | {
        "train_data_pattern": f"{tmp_path}/videos/train-*",
        "train_dir": f"{tmp_path}/run",
        "model": "FrameLevelLogisticModel",
        "regime": "labels",
        "every_n": 4,
        "num_epochs": 1,
    }
    run([*distill, "train", *to_flags(flags)], **options)
    assert list((tmp_path / "run").glob("checkpoint-*.h5"))
