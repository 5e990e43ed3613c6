"""Start of a command: until its first training step is done."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from distill.datasets.synthetic import write_synthetic_data
from distill.reporting.timing import time_interleaved
from distill.settings.synthetic import SyntheticSettings
from distill.system.storage import to_path
from tools.benchmark.plan import Plan
from tools.benchmark.rows import Row

_ROOT = Path(__file__).parents[2]
_POLL_SECONDS = 0.005
_IMPORTS = "import tensorflow, keras"


def measure(plan: Plan) -> list[Row]:
    """Returns the row of `distill train` at the quickstart's sizes."""
    settings = SyntheticSettings(
        split="train",
        num_videos=plan.start_videos,
        feature_sizes=(64, 16),
        num_classes=50,
    )
    with tempfile.TemporaryDirectory(prefix="distill-benchmark-") as folder:
        for _ in write_synthetic_data(settings, f"{folder}/data"):
            pass
        seconds = time_interleaved(
            {
                "step": lambda: _start_training(folder),
                "imports": _start_imports,
            },
            plan.slow_repeats,
        )
    return [
        Row(
            "start",
            "train, quickstart's sizes, until the first step is done",
            "s",
            seconds["step"],
            seconds["imports"],
            _IMPORTS,
            target="<= 10 s",
        )
    ]


def _start_training(folder: str) -> None:
    """Starts a training; ends it when its first step is logged.

    Raises:
      RuntimeError: It ended before.
    """
    with tempfile.TemporaryDirectory(dir=folder) as run:
        log = to_path(run) / "log.jsonl"
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "distill", "train"),
                "--flagfile=configs/quickstart.cfg",
                f"--train_data_pattern={folder}/data/train-*",
                f"--eval_data_pattern={folder}/data/train-*",
                f"--train_dir={run}",
                "--log_every_steps=1",
            ],
            cwd=_ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            while not (log.exists() and log.stat().st_size):
                if process.poll() is not None:
                    reason = process.stderr.read() if process.stderr else ""
                    raise RuntimeError(f"The training failed: {reason}")
                time.sleep(_POLL_SECONDS)
        finally:
            process.kill()
            process.communicate()


def _start_imports() -> None:
    subprocess.run(
        [sys.executable, "-c", _IMPORTS],
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
        check=True,
    )
