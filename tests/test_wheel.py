"""The wheel beside a user's own packages: train, predict and serve."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import urllib.request
import zipfile
from pathlib import Path

import pytest

from tests.hang_guard import HANG_SECONDS

ROOT = Path(__file__).parents[1]
TRAIN = (
    "--feature_sizes=6,2",
    "--num_classes=5",
    "--max_frames=8",
    "--model=NetVLADModelLF",
    "--netvlad_cluster_size=4",
    "--netvlad_hidden_size=8",
    "--regime=labels",
    "--frame_budget=3",
    "--num_epochs=1",
    "--batch_size=16",
    "--train_data_pattern=data/train-*",
    "--train_dir=run",
)
# The imports of a user whose project has packages of the same names.
PREDICT = """
import models, scripts
import numpy as np
from distill import Predictor
assert models.OWN and scripts.OWN
video = np.full((8, 8), 130, np.uint8)
(found,) = Predictor.load("run/checkpoint-00000002.h5").predict([video], 2)
print(len(found.class_indexes), "distill.models" in __import__("sys").modules)
"""


# A path of the caller's must not lead to the source tree.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}


def run(*command, cwd):
    done = subprocess.run(
        command,
        cwd=cwd,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Returns a wheel built from a copy of the project."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    ignore = shutil.ignore_patterns("__pycache__")
    for name in ("configs", "distill", "models"):
        shutil.copytree(
            ROOT / name, source / name, symlinks=True, ignore=ignore
        )
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
    run(*pip, "--wheel-dir", str(source), ".", cwd=source)
    (path,) = source.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def user(wheel, tmp_path_factory):
    """Returns a user's project and the Python of an environment of its own.

    The environment takes the libraries of this one, but not the project.
    """
    project = tmp_path_factory.mktemp("user")
    for name in ("models", "scripts", "tools", "tests"):
        (project / name).mkdir()
        (project / name / "__init__.py").write_text("OWN = True\n")
    run(sys.executable, "-m", "venv", "--without-pip", "env", cwd=project)
    python = project / "env" / "bin" / "python"
    (site,) = (project / "env").glob("lib/python*/site-packages")
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install"]
    run(*pip, "--quiet", "--no-deps", "--no-index", str(wheel), cwd=project)
    libraries = sysconfig.get_paths()["purelib"]
    (site / "libraries.pth").write_text(f"{libraries}\n")
    return project, str(python)


@pytest.mark.slow
def test_the_wheel_holds_one_package(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "distill"
    }
    assert "distill/models/registry.py" in names
    assert "distill/cli/train.py" in names
    assert "distill/serving/page.html" in names
    assert {"distill/py.typed", "distill/models/py.typed"} <= set(names)
    configs = {
        f"distill/{path.relative_to(ROOT).as_posix()}"
        for path in (ROOT / "configs").rglob("*.*")
        if path.suffix in (".cfg", ".py")
    }
    assert len(configs) > 40
    assert configs == {n for n in names if n.startswith("distill/configs/")}


@pytest.mark.slow
def test_the_installed_command_has_a_version_and_configs(user):
    project, python = user
    command = str(Path(python).with_name("distill"))
    with open(ROOT / "pyproject.toml", "rb") as file:
        version = tomllib.load(file)["project"]["version"]
    assert run(command, "--version", cwd=project) == f"distill {version}\n"
    assert "Usage: distill VERB" in run(command, cwd=project)
    assert "baselines/audioset_gru.cfg" in run(command, "configs", cwd=project)
    config = "--flagfile=configs/quickstart_netvlad_every30.cfg"
    shown = run(command, "train", config, "--help", cwd=project)
    assert "--netvlad_cluster_size=16 " in shown


@pytest.mark.slow
def test_train_predict_and_serve_beside_packages_of_the_same_names(user):
    project, python = user
    found = run(
        python, "-c", "import distill; print(distill.__file__)", cwd=project
    )
    assert str(project) in found
    run(
        python,
        *("-m", "distill", "make_synthetic_data", "--output_dir=data"),
        *("--num_train_videos=32", "--num_validate_videos=8", "--num_shards=1"),
        *("--feature_sizes=6,2", "--num_classes=5", "--max_frames=8"),
        cwd=project,
    )
    run(python, "-m", "distill", "train", *TRAIN, cwd=project)
    assert run(python, "-c", PREDICT, cwd=project).split() == ["2", "True"]
    serve = ["-m", "distill", "serve", "--port=0"]
    command = [python, *serve, "--artifact=run/checkpoint-00000002.h5"]
    with subprocess.Popen(
        command,
        cwd=project,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        text=True,
    ) as service:
        try:
            address = service.stdout.readline().split(" at ")[1]
            body = json.dumps({"instances": [{"frames": [[130] * 8] * 8}]})
            request = urllib.request.Request(
                f"{address.split('/v1')[0].strip()}/v1/models/student:predict",
                body.encode(),
            )
            with urllib.request.urlopen(
                request, timeout=HANG_SECONDS
            ) as answer:
                (predictions,) = json.load(answer)["predictions"]
            assert predictions
        finally:
            service.terminate()
