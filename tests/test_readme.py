"""The README's commands run as they stand, in order, in a fresh folder."""

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COPIED = ("configs", "distill", "models", "scripts", "pyproject.toml")
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Returns a copy of the project with the quickstart's data in it."""
    folder = tmp_path_factory.mktemp("project")
    for source in (*ROOT.glob("run_*.sh"), *(ROOT / name for name in COPIED)):
        if source.is_dir():
            # `distill/models` is a link to `models`.
            shutil.copytree(source, folder / source.name, symlinks=True)
        else:
            shutil.copy(source, folder)
    # This environment, as one into which the copy is installed.
    environment = folder / ".venv"
    environment.mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (environment / name).symlink_to(Path(sys.prefix, name))
    shutil.copy(ROOT / "pyproject.toml", environment / ".installed-base")
    make_data = ".venv/bin/python -m distill make_synthetic_data"
    small = "--num_train_videos=300 --num_validate_videos=100"
    run(f"{make_data} --flagfile=configs/quickstart_data.cfg {small}", folder)
    return folder


def run(command, folder):
    """Runs a command of bash; returns what it prints."""
    done = subprocess.run(
        ["bash", "-euc", command], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, command + done.stdout + done.stderr
    return done.stdout


def serve(command, folder):
    """Starts the service and ends it once it serves."""
    with subprocess.Popen(
        command.split(), cwd=folder, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.send_signal(signal.SIGINT)
    assert line.startswith("serving runs/quickstart/export/model.onnx at")


@pytest.mark.slow
def test_the_readme_s_commands_run_in_order(folder):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    # The first block installs, and runs the stages and these tests.
    first, *blocks = BLOCK.findall(readme)
    assert "quickstart.sh" in first[1]
    for language, code in blocks:
        if language == "python":
            (folder / "example.py").write_text(code, encoding="utf-8")
            assert run(".venv/bin/python example.py", folder).startswith("['")
            continue
        # The test's own environment holds what the README installs.
        code = re.sub(r"^.*/pip install .*\n", "", code, flags=re.MULTILINE)
        code, *service = re.split(r"^(.* serve .*)\n", code, flags=re.MULTILINE)
        run(code, folder)
        if service:
            serve(service[0], folder)
    assert (folder / "runs/quickstart/export/card.md").exists()
