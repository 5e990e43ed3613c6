"""CONTRIBUTING's recipe for a new model, followed to the letter."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COPIED = (
    "configs",
    "examples",
    "models",
    "distill",
    "tools",
    "scripts",
    "tests",
    "pyproject.toml",
    *(path.name for path in ROOT.glob("run_*.sh")),
)
MODEL, ENTRIES, TEST = STEPS = (
    "models/deviation.py",
    "models/configs.py",
    "tests/models/test_deviation.py",
)
DATA = (
    "--feature_names=rgb,audio",
    "--feature_sizes=6,2",
    "--num_classes=5",
    "--max_frames=8",
    "--seed=1",
)


def read_recipe():
    """Returns the code of each step by the file it names first."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    text = text.split("## To add a model\n")[1].split("\n## ")[0]
    step = r"^\d\. `([^`]+)`:.*?```python\n(.*?)^   ```$"
    return {
        path: re.sub(r"^   ", "", code, flags=re.MULTILINE)
        for path, code in re.findall(step, text, re.MULTILINE | re.DOTALL)
    }


def run(folder, *arguments):
    """Runs a Python module in a copy of the project."""
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Returns a copy of the project with the recipe's model in it."""
    folder = tmp_path_factory.mktemp("project")
    unwanted = shutil.ignore_patterns("__pycache__")
    for name in COPIED:
        source, target = ROOT / name, folder / name
        if source.is_dir():
            # `distill/models` is a link to `models`.
            shutil.copytree(source, target, symlinks=True, ignore=unwanted)
        else:
            shutil.copy(source, target)
    recipe = read_recipe()
    for path in (MODEL, TEST):
        assert not (folder / path).exists()
        (folder / path).write_text(recipe[path], encoding="utf-8")
    with open(folder / ENTRIES, "a", encoding="utf-8") as file:
        file.write(f"\n\n{recipe[ENTRIES]}")
    return folder


def test_the_recipe_touches_two_files_and_a_test():
    assert tuple(read_recipe()) == STEPS


@pytest.mark.slow
def test_the_new_model_passes_its_test_and_those_of_all_models(project):
    pytest.importorskip("ruff", reason="ruff comes with the extra dev")
    done = run(
        project,
        "pytest",
        "-q",
        TEST,
        "tests/test_style.py",
        "tests/test_layout.py",
        "tests/models/test_model_configs.py",
        "tests/models/test_registry.py",
        "tests/networks/test_model_list.py",
    )
    assert done.returncode == 0, done.stdout[-3000:]


@pytest.mark.slow
def test_the_new_model_teaches_and_learns_by_its_flags(project, tmp_path):
    data, run_dir = tmp_path / "data", tmp_path / "run"
    done = run(
        project,
        "distill",
        "make_synthetic_data",
        f"--output_dir={data}",
        "--num_train_videos=20",
        "--num_validate_videos=20",
        *DATA,
    )
    assert done.returncode == 0, done.stderr
    done = run(
        project,
        "distill",
        "train",
        f"--train_data_pattern={data}/train-*",
        f"--train_dir={run_dir}",
        "--model=DeviationModel",
        "--deviation_scale=0.5",
        "--student_deviation_scale=2",
        "--every_n=2",
        "--num_epochs=1",
        "--batch_size=10",
        *DATA,
    )
    assert done.returncode == 0, done.stderr
    assert (run_dir / "checkpoint-00000002.h5").is_file()
    settings = (run_dir / "settings.json").read_text(encoding="utf-8")
    assert '"deviation_scale": 0.5' in settings
    assert '"deviation_scale": 2.0' in settings
