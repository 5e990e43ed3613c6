"""A training run that is killed and started again, and one that is not."""

import dataclasses
import json
import os
import random
import shlex
import shutil
import signal
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from distill.checkpoints.checkpoint import (
    checkpoint_path,
    list_checkpoints,
    open_checkpoint,
)
from tools.drills.comparison import read_content
from tools.drills.folder import leftovers
from tools.drills.processes import Processes, wait_for
from tools.process_memory import resident_bytes

TITLES = ("measure", "found")
KEEP_CHECKPOINTS = 3
LOG_EVERY_STEPS = 10
_LAYOUT = "--feature_sizes=12,4 --num_classes=8 --max_frames=20"
_DATA = (
    f"make_synthetic_data {_LAYOUT} --output_dir={{data}} --num_shards=6 "
    "--num_train_videos=12000 --num_validate_videos=300"
)
_TRAINING = (
    f"train {_LAYOUT} --train_data_pattern={{data}}/train-*.tfrecord "
    "--eval_data_pattern={data}/validate-*.tfrecord --train_dir={out} "
    "--gpu=-1 --batch_size=16 --num_epochs=1000000 --seed=3 "
    f"--log_every_steps={LOG_EVERY_STEPS} "
    f"--keep_checkpoints={KEEP_CHECKPOINTS} "
    f"--checkpoint_every_minutes={10 / 60:.4f} --model=PooledNetworkModel "
    "--hidden_sizes=6 --every_n=4 --dropout=0.3"
)
_LONGEST_LIFE = 40.0
_LAST_STEPS = 50
_SIGNALS = (signal.SIGKILL,) * 8 + (signal.SIGTERM, signal.SIGINT)
# Statuses of a process that was asked to end: after a step, or before one.
_ENDINGS = (1, 128 + signal.SIGTERM, 128 + signal.SIGINT)
_SECONDS_TO_END = 120.0
_LIVES_WITHOUT_A_CHECKPOINT = 20
# The allocator's arenas fill during some twenty epochs, by 4 % here.
_MOST_GROWTH = 0.1
_COMPARED = ("best.h5", "log.jsonl", "settings.json", "inputs.json")


@dataclasses.dataclass
class Life:
    """A process of the run, from its start to its end.

    Attributes:
      kind: The signal that ended it.
      seconds: Its time.
      step: Step of the newest checkpoint that it left.
      leftovers: Number of temporary files that it left.
    """

    kind: signal.Signals
    seconds: float
    step: int
    leftovers: int

    def __str__(self) -> str:
        """Describes the life in one line."""
        return (
            f"{self.kind.name} after {self.seconds:.1f} s: checkpoint of step "
            f"{self.step}, {self.leftovers} left over"
        )


class TrainingSoak:
    """Kills a training run again and again, then compares it.

    Args:
      work_dir: A directory for the runs; those of earlier tests there are
        removed.
      processes: Starts the processes.
      seed: Seed of the moments and signals.

    Attributes:
      faults: What went wrong.
    """

    def __init__(self, work_dir: Path, processes: Processes, seed: int):
        self._data = work_dir / "data"
        self._killed = work_dir / "killed"
        self._straight = work_dir / "undisturbed"
        self._output = work_dir / "output.txt"
        self._processes = processes
        self._rng = random.Random(seed)
        self._lives: list[Life] = []
        self._memory: list[int] = []
        self._most_bytes = 0
        self._seconds = 0.0
        self._num_steps = 0
        self.faults: list[str] = []
        for folder in (self._data, self._killed, self._straight):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)

    def run(self, seconds: float) -> Iterator[str]:
        """Yields a line for each process; kills them for so many seconds."""
        start = time.monotonic()
        self._finish(self._start(_DATA, self._killed))
        end = start + seconds
        while time.monotonic() < end and not self._stands_still():
            self._lives.append(life := self._kill_once(end))
            self._check_files()
            yield f"{len(self._lives):4d} {life}"
        self._num_steps = self._newest_step() + _LAST_STEPS
        for directory in (self._killed, self._straight):
            begun = time.monotonic()
            process = self._start(self._last_command, directory)
            if directory == self._straight:
                self._watch_memory(process)
            self._finish(process)
            yield (
                f"{directory.name} to step {self._num_steps}: "
                f"{time.monotonic() - begun:.0f} s"
            )
        self._compare()
        self._seconds = time.monotonic() - start

    @property
    def _last_command(self) -> str:
        return f"{_TRAINING} --max_steps={self._num_steps}"

    def _start(self, command: str, directory: Path) -> BaseProcess:
        places = {"data": self._data, "out": directory}
        words = [word.format(**places) for word in shlex.split(command)]
        return self._processes.start(words, self._output)

    def _finish(self, process: BaseProcess) -> None:
        process.join()
        if process.exitcode:
            self._add_ending(process)

    def _add_ending(self, process: BaseProcess) -> None:
        last = self._output.read_text().splitlines()[-1:] or ["nothing"]
        self.faults.append(f"status {process.exitcode}: {last[0]}")

    def _kill_once(self, end: float) -> Life:
        """Starts the run and ends it at a random moment, not after `end`."""
        before = set(leftovers(self._killed))
        kind = self._rng.choice(_SIGNALS)
        wait = self._rng.uniform(0, _LONGEST_LIFE)
        self._output.unlink(missing_ok=True)
        process = self._start(_TRAINING, self._killed)
        # Before, a forked process ignores Ctrl-C.
        wait_for(process, self._output.exists)
        begun = time.monotonic()
        process.join(max(min(wait, end - begun), 0))
        if not process.is_alive():
            self._add_ending(process)
        else:
            os.kill(process.pid or 0, kind)
            self._wait_for_ending(process, kind)
        left = set(leftovers(self._killed)) - before
        seconds = time.monotonic() - begun
        return Life(kind, seconds, self._newest_step(), len(left))

    def _wait_for_ending(
        self, process: BaseProcess, kind: signal.Signals
    ) -> None:
        process.join(_SECONDS_TO_END)
        if process.is_alive():
            self.faults.append(f"{kind.name} did not end a process")
            process.kill()
            process.join()
        elif process.exitcode not in (-kind, *_ENDINGS):
            # (A process that has no handler yet dies of the signal.)
            self._add_ending(process)

    def _newest_step(self) -> int:
        newest = list_checkpoints(self._killed)[-1:]
        return int(newest[0].stem.split("-")[1]) if newest else 0

    def _stands_still(self) -> bool:
        steps = [life.step for life in self._lives]
        last = steps[-_LIVES_WITHOUT_A_CHECKPOINT:]
        if len(last) < _LIVES_WITHOUT_A_CHECKPOINT or len(set(last)) > 1:
            return False
        self.faults.append(f"no checkpoint in {len(last)} processes")
        return True

    def _check_files(self) -> None:
        """Checks that no file under a final name is broken, and their size."""
        self._most_bytes = max(self._most_bytes, self._disk_bytes())
        checkpoints = list_checkpoints(self._killed)
        if len(checkpoints) > KEEP_CHECKPOINTS + 1:
            self.faults.append(f"{len(checkpoints)} checkpoints are kept")
        try:
            for path in self._killed.glob("*.h5"):
                open_checkpoint(path).close()
            for path in self._killed.glob("*.json"):
                json.loads(path.read_text())
        except ValueError as error:
            self.faults.append(f"broken after a kill: {error}")

    def _disk_bytes(self) -> int:
        """Returns the bytes of all but the log's files, which must grow."""
        return sum(
            path.stat().st_size
            for path in self._killed.iterdir()
            if path.is_file() and not path.name.startswith("log.")
        )

    def _watch_memory(self, process: BaseProcess) -> None:
        """Notes the memory of a process once a second until it ends."""
        while process.is_alive():
            process.join(1.0)
            try:
                self._memory.append(resident_bytes(process.pid or 0))
            except OSError:
                break

    def _quarters(self) -> list[float]:
        """Returns the median memory of each quarter of the time, in MiB.

        The first fifth, in which graphs are built, is left out.
        """
        samples = self._memory[len(self._memory) // 5 :]
        size = max(len(samples) // 4, 1)
        quarters = [samples[n * size : (n + 1) * size] for n in range(4)]
        return [statistics.median(q) / 2**20 for q in quarters if q]

    def _compare(self) -> None:
        """Compares what the two runs have left."""
        last = checkpoint_path(self._killed, self._num_steps).name
        for name in (last, *_COMPARED):
            found, expected = (
                folder / name for folder in (self._killed, self._straight)
            )
            if not (found.exists() and expected.exists()):
                self.faults.append(f"{name} is missing")
            elif self._content(found) != self._content(expected):
                self.faults.append(f"{name} differs")
        self._check_steps()
        if left := leftovers(self._killed):
            self.faults.append(f"left over: {', '.join(left)}")
        if len(list_checkpoints(self._killed)) != KEEP_CHECKPOINTS:
            self.faults.append("other checkpoints than the newest are kept")
        # The kept ones, the best, one more that is written, and small files.
        size = checkpoint_path(self._killed, self._num_steps).stat().st_size
        if self._most_bytes > (KEEP_CHECKPOINTS + 3) * size:
            self.faults.append(f"the run took {self._most_bytes:,} bytes")
        first, *_, final = self._quarters() or (0.0, 0.0)
        if final > (1 + _MOST_GROWTH) * first:
            self.faults.append(f"memory grew: {first:.0f} to {final:.0f} MiB")

    def _content(self, path: Path) -> Any:
        """Returns what to compare of a file.

        The best networks may be older than the number of steps, which is
        chosen at the end: their settings are not compared.
        """
        content = read_content(path, path.parent)
        if path.name == "best.h5":
            content.pop("@settings")
        return content

    def _check_steps(self) -> None:
        """Checks that the log has every step once."""
        text = (self._killed / "log.jsonl").read_text()
        lines = [json.loads(line) for line in text.splitlines()]
        found = [line["step"] for line in lines if line["kind"] == "step"]
        every = LOG_EVERY_STEPS
        if found != list(range(every, self._num_steps + 1, every)):
            self.faults.append("the log lacks steps, or has some twice")

    def summary(self) -> list[list[str]]:
        """Returns the rows of the summary."""
        kinds = Counter(life.kind.name for life in self._lives)
        quarters = ", ".join(f"{value:.0f}" for value in self._quarters())
        left = sum(life.leftovers for life in self._lives)
        signals = ", ".join(f"{n} {name}" for name, n in kinds.items())
        rows = {
            "minutes": f"{self._seconds / 60:.1f}",
            "processes ended": f"{len(self._lives)} ({signals})",
            "steps": f"{self._num_steps:,}",
            "temporary files left by kills, cleared later": f"{left}",
            "most bytes beside the log": f"{self._most_bytes:,}",
            "memory by quarters of the undisturbed run, MiB": quarters,
            "faults": f"{len(self.faults)}",
        }
        return [[name, text] for name, text in rows.items()]
