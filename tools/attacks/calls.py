"""Calls on files that fail, or at which a process is killed.

Each stage runs undisturbed first, with a log of its calls. Then one of these
calls is spoiled: it fails with an error, moves half of the bytes, or the
process is killed before or after it.
"""

import errno
import functools
import os
import random
import shutil
import signal
from collections.abc import Iterator, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

from tools.attacks.attempt import Attempt
from tools.attacks.endings import (
    find_bad_ending,
    find_leftovers,
    wait_for_end,
)
from tools.attacks.preload import Spoiled, build_library, warm_processes
from tools.drills.comparison import NAMING, find_broken, find_differences
from tools.drills.folder import results
from tools.drills.processes import HANG_SECONDS
from tools.drills.running import StageRunner
from tools.drills.stages import PIPELINE, Stage, with_needs

_FULL = ("ENOSPC", "EDQUOT")
_REFUSED = ("EIO", "EACCES", "EROFS", "ENOENT")
# Errors of each kind of call; those of `_LASTING` may stay.
ERRORS = {
    "rename": (*_REFUSED, *_FULL, "EXDEV", "ENOTEMPTY"),
    "fsync": ("EIO", *_FULL, "EINTR", "EINVAL"),
    "ftruncate": ("EIO", *_FULL, "EINTR"),
    "flock": ("ENOLCK", "ENOSYS", "EINTR", "EIO"),
    "unlink": _REFUSED,
    "rmdir": _REFUSED,
    "mkdir": (*_REFUSED, *_FULL),
    "close": ("EIO", *_FULL, "EINTR"),
    "write": ("EIO", *_FULL, "EINTR", "EFBIG"),
    "create": (*_REFUSED, *_FULL, "EMFILE", "EINTR"),
    "open": ("EIO", "EACCES", "ENOENT", "EMFILE", "EINTR"),
    "read": ("EIO", "EINTR"),
}
_LASTING = ("EIO", "EROFS", "EMFILE", "ENOLCK", "ENOSYS", *_FULL)
_LASTING_KINDS = ("rename", "fsync", "flock", "mkdir", "write", "create")
_CAN_BE_CUT = ("write", "read")
_KILLS = ("kill before", "kill after")
_REMOVING = ("unlink", "rmdir")
_KILLED_SHARE, _CUT_SHARE = 0.3, 0.1


def attack(
    work_dir: Path, num_tries: int, rng: random.Random
) -> Iterator[Attempt]:
    """Spoils calls of the stages, each in turn.

    Raises:
      ValueError: There is no C compiler, or a stage fails undisturbed.
    """
    build_library()
    # Workers wait for one another: `tools.attacks.workers` loses them.
    stages = [stage for stage in PIPELINE if not stage.are_workers]
    stages = rng.sample(stages, min(num_tries, len(stages)))
    calls = Calls(work_dir, stages, rng)
    for number in range(num_tries):
        yield calls.try_one(stages[number % len(stages)])


class Calls:
    """Spoils calls of stages and checks how they end.

    Args:
      work_dir: Directory for the stages.
      stages: Stages to attack; those that they need run too.
      rng: Random numbers of the attack.
    """

    def __init__(
        self, work_dir: Path, stages: Sequence[Stage], rng: random.Random
    ):
        self._rng = rng
        self._log = work_dir / "calls.txt"
        self._runner = StageRunner(work_dir, warm_processes())
        # Calls of each process of a stage, in an empty directory.
        self._calls: dict[tuple[str, int], list[tuple[str, str]]] = {}
        for stage in with_needs(stages):
            self._run_undisturbed(stage)

    def _run_undisturbed(self, stage: Stage) -> None:
        directory = self._runner.undisturbed / stage.name
        for index in range(len(stage.commands)):
            # Processes of one stage may divide their work as they come.
            shutil.rmtree(directory, ignore_errors=True)
            self._log.unlink(missing_ok=True)
            counted = Spoiled(self._runner.undisturbed, self._log)
            running = self._runner.start(stage, directory, counted.arm, index)
            self._runner.finish_undisturbed(stage, running)
            self._calls[stage.name, index] = counted.calls()

    def try_one(self, stage: Stage) -> Attempt:
        """Spoils a call of a stage, and runs it again."""
        expected = self._runner.undisturbed / stage.name
        directory = self._runner.disturbed(stage)
        shutil.rmtree(directory, ignore_errors=True)
        is_old = self._rng.random() < 1 / 3
        if is_old:
            _copy(expected, directory)
        index = self._rng.randrange(len(stage.commands))
        spoiled = self._draw(self._calls[stage.name, index])
        running = self._runner.start(stage, directory, spoiled.arm, index)
        problems = self._judge(stage, running, index, spoiled, is_old)
        hit = spoiled.calls()
        where = hit[0][1] if hit else "nothing: it never came"
        running = self._runner.start(stage, directory)
        problems += self._runner.finish(stage, running)
        problems += find_differences(directory, expected)
        problems += find_leftovers(directory)
        deed = f"{spoiled} of {where}{', over old files' if is_old else ''}"
        return Attempt(stage.name, deed, "; ".join(dict.fromkeys(problems)))

    def _draw(self, calls: Sequence[tuple[str, str]]) -> Spoiled:
        """Draws a kind of call, a file, one of the calls, and its fault."""
        self._log.unlink(missing_ok=True)
        kind = self._rng.choice(sorted({kind for kind, _ in calls}))
        names = [name for each, name in calls if each == kind]
        name = self._rng.choice(sorted(set(names)))
        numbers = [i for i, each in enumerate(names, 1) if each == name]
        number, chance = self._rng.choice(numbers), self._rng.random()
        spoil = functools.partial(
            Spoiled, self._runner.undisturbed, self._log, kind, number
        )
        if chance < _KILLED_SHARE:
            return spoil(self._rng.choice(_KILLS))
        if chance < _KILLED_SHARE + _CUT_SHARE and kind in _CAN_BE_CUT:
            return spoil("cut")
        error = self._rng.choice(ERRORS[kind])
        lasts = (
            kind in _LASTING_KINDS
            and error in _LASTING
            and self._rng.random() < 1 / 2
        )
        return spoil("fail", getattr(errno, error), lasts)

    def _judge(
        self,
        stage: Stage,
        running: list[BaseProcess],
        index: int,
        spoiled: Spoiled,
        is_old: bool,
    ) -> list[str]:
        """Waits for the processes; describes what they should not have done."""
        statuses = [wait_for_end(each, HANG_SECONDS) for each in running]
        expected = self._runner.undisturbed / stage.name
        directory = self._runner.disturbed(stage)
        problems = [
            find_bad_ending(status, self._runner.output(stage, other))
            for other, status in enumerate(statuses)
            if other != index
        ]
        problems += find_broken(directory, expected)
        status, hit = statuses[index], spoiled.calls()
        if hit and spoiled.deed in _KILLS:
            if status != -signal.SIGKILL:
                problems.append(f"killed, it ended with status {status}")
            return [text for text in problems if text]
        mentioned = [str(self._runner.undisturbed)] if hit else []
        # Of a missing file a line may say that there is none.
        if hit and spoiled.deed == "fail" and spoiled.code != errno.ENOENT:
            mentioned.append(os.strerror(spoiled.code))
        output = self._runner.output(stage, index)
        problems.append(find_bad_ending(status, output, mentioned))
        if status and not (hit and spoiled.deed == "fail"):
            problems.append(f"nothing failed, but it ended with {status}")
        if not any(statuses):
            problems += find_differences(directory, expected)
        elif is_old:
            gone = results(expected).keys() - results(directory).keys()
            problems += [f"the old {name} is gone" for name in sorted(gone)]
        if spoiled.kind not in _REMOVING:
            problems += find_leftovers(directory)
        return [text for text in problems if text]


def _copy(finished: Path, directory: Path) -> None:
    """Copies a finished stage; its texts name the new directory."""
    shutil.copytree(finished, directory)
    for path in results(directory).values():
        if path.suffix in NAMING:
            text = path.read_text()
            path.write_text(text.replace(str(finished), str(directory)))
