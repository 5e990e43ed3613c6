"""Workers that are killed, frozen, restarted in other numbers, or differ.

Workers wait for one another in every step. Whatever happens to one, each of
them must end, and say why; what they have saved must be whole.
"""

import functools
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

from tools.attacks.attempt import Attempt
from tools.attacks.endings import find_bad_ending, find_leftovers
from tools.attacks.preload import warm_processes
from tools.drills.comparison import find_broken, find_differences
from tools.drills.processes import HANG_SECONDS, wait_for
from tools.drills.running import StageRunner, worker_environments
from tools.drills.stages import Command, Stage, choose_stages, with_needs

# Longer than the heartbeat's time limit, and shorter.
_LONG_SECONDS, _SHORT_SECONDS = 20.0, 2.0
_NUM_STEPS = 6
_COMMAND = choose_stages(["workers"])[0].commands[0]
# Flags with which one of the workers differs.
_OTHERS = (
    *("--seed=4", "--batch_size=8", "--hidden_sizes=8", "--num_epochs=1"),
    *("--base_learning_rate=0.5", "--every_n=2", "--shard_by=batch"),
    "--train_data_pattern={from}/data/validate-*.tfrecord",
)


def attack(
    work_dir: Path, num_tries: int, rng: random.Random
) -> Iterator[Attempt]:
    """Makes each kind of attack in turn, beginning with any.

    Raises:
      ValueError: The workers fail undisturbed.
    """
    team = Team(work_dir, rng)
    deeds: list[Callable[[], Attempt]] = [
        *(team.kill, team.differ, team.freeze, team.change_number),
        *(team.kill_at_start, team.pause, team.come_late, team.be_two_chiefs),
    ]
    first = rng.randrange(len(deeds))
    for number in range(num_tries):
        yield deeds[(first + number) % len(deeds)]()


def _stage(count: int, flags: str = "") -> Stage:
    """Returns workers of one run; the last one has more flags."""
    last = Command(f"{_COMMAND.words} {flags}")
    commands = (_COMMAND,) * (count - 1) + (last,)
    return Stage(f"workers_{count}", commands, are_workers=True)


class Team:
    """Disturbs workers and checks how they end.

    Args:
      work_dir: Directory for the runs.
      rng: Random numbers of the attack.
    """

    def __init__(self, work_dir: Path, rng: random.Random):
        self._rng = rng
        self._runner = StageRunner(work_dir, warm_processes())
        for stage in with_needs(choose_stages(["data"])):
            self._run_undisturbed(stage)

    def _run_undisturbed(self, stage: Stage) -> Path:
        """Returns the directory of an undisturbed run, made once."""
        directory = self._runner.undisturbed / stage.name
        if not directory.exists():
            running = self._runner.start(stage, directory)
            self._runner.finish_undisturbed(stage, running)
        return directory

    def _begin(self, stage: Stage) -> tuple[Path, Path]:
        """Returns the directories of an undisturbed and of a new run."""
        expected = self._run_undisturbed(stage)
        directory = self._runner.disturbed(stage)
        shutil.rmtree(directory, ignore_errors=True)
        return expected, directory

    def kill(self) -> Attempt:
        """Kills a worker after one of the steps."""
        stage = _stage(self._rng.choice([2, 2, 3]))
        _, directory = self._begin(stage)
        running = self._runner.start(stage, directory)
        step, rank = self._draw_step(), self._rng.randrange(len(running))
        _wait_for_step(running[0], directory, step)
        return self._kill(stage, running, rank, f"step {step}")

    def kill_at_start(self) -> Attempt:
        """Kills a worker while they start; the other may wait for it."""
        stage = _stage(2)
        _, directory = self._begin(stage)
        running = self._runner.start(stage, directory)
        seconds, rank = 4 * self._rng.random(), self._rng.randrange(2)
        time.sleep(seconds)
        return self._kill(stage, running, rank, f"{seconds:.1f} s")

    def _kill(
        self, stage: Stage, running: list[BaseProcess], rank: int, moment: str
    ) -> Attempt:
        """Kills a worker and judges what is left."""
        running[rank].kill()
        problems = self._judge_lost(stage, running, rank)
        expected = self._runner.undisturbed / stage.name
        directory = self._runner.disturbed(stage)
        problems += find_broken(directory, expected)
        problems += self._run_again(stage, directory, expected)
        return _attempt(stage, f"kill {rank} after {moment}", problems)

    def freeze(self) -> Attempt:
        """Stops a worker for longer than the heartbeat; it wakes, or not."""
        stage = _stage(2)
        expected, directory = self._begin(stage)
        running = self._runner.start(stage, directory)
        step, rank = self._draw_step(), self._rng.randrange(2)
        wakes = self._rng.random() < 1 / 2
        _wait_for_step(running[0], directory, step)
        _signal(running[rank], signal.SIGSTOP)
        running[1 - rank].join(_LONG_SECONDS)
        if wakes:
            _signal(running[rank], signal.SIGCONT)
        else:
            running[rank].kill()
        lost = None if wakes else rank
        problems = self._judge_lost(stage, running, lost)
        problems += find_broken(directory, expected)
        problems += self._run_again(stage, directory, expected)
        deed = f"freeze {rank} after step {step}, then "
        return _attempt(stage, deed + ("wake" if wakes else "kill"), problems)

    def pause(self) -> Attempt:
        """Stops a worker for a moment, which changes nothing."""
        stage = _stage(2)
        expected, directory = self._begin(stage)
        running = self._runner.start(stage, directory)
        step, rank = self._draw_step(), self._rng.randrange(2)
        _wait_for_step(running[0], directory, step)
        _signal(running[rank], signal.SIGSTOP)
        time.sleep(_SHORT_SECONDS)
        _signal(running[rank], signal.SIGCONT)
        problems = self._finish(stage, running)
        problems += find_differences(directory, expected)
        return _attempt(stage, f"pause {rank} after step {step}", problems)

    def change_number(self) -> Attempt:
        """Goes on with another number of workers; then nothing is left."""
        before, after = self._rng.choice([(2, 1), (1, 2), (2, 3), (3, 2)])
        stage, other = _stage(before), _stage(after)
        expected, directory = self._begin(stage)
        running = self._runner.start(stage, directory)
        step = self._draw_step()
        _wait_for_step(running[0], directory, step)
        running[0].kill()
        problems = self._judge_lost(stage, running, 0)
        problems += find_broken(directory, expected)
        for _ in range(2):
            running = self._runner.start(other, directory)
            problems += self._finish(other, running)
        problems += find_leftovers(directory)
        last = directory / f"checkpoint-{_NUM_STEPS:08d}.h5"
        if not last.exists():
            problems.append(f"there is no {last.name}")
        deed = f"{before} workers, after step {step} {after}"
        return _attempt(stage, deed, problems)

    def come_late(self) -> Attempt:
        """Starts one worker some seconds after the other."""
        stage = _stage(2)
        expected, directory = self._begin(stage)
        first, rank = self._runner, self._rng.randrange(2)
        environments = worker_environments(2)
        running: list[BaseProcess] = []
        for number in (1 - rank, rank):
            alone = Stage(f"worker_{number}", (_COMMAND,))
            running += first.start(
                alone, directory, environments=[environments[number]]
            )
            time.sleep(self._rng.uniform(2, 8) * (number != rank))
        problems = []
        for number, process in zip((1 - rank, rank), running, strict=True):
            alone = Stage(f"worker_{number}", (_COMMAND,))
            problems += self._finish(alone, [process])
        problems += find_differences(directory, expected)
        return _attempt(stage, f"{rank} comes late", problems)

    def differ(self) -> Attempt:
        """Gives one worker another setting: all must end, and say why."""
        flag = self._rng.choice(_OTHERS)
        stage = _stage(2, flag)
        expected, directory = self._begin(_stage(2))
        problems = []
        running = self._runner.start(stage, directory)
        statuses = _join(running)
        for index, status in enumerate(statuses):
            output = self._runner.output(stage, index)
            problems.append(find_bad_ending(status, output))
            if status == 0:
                problems.append(f"{index} has trained with other settings")
        problems += self._run_again(_stage(2), directory, expected)
        return _attempt(stage, f"1 has {flag}", problems)

    def be_two_chiefs(self) -> Attempt:
        """Gives both workers the rank of the chief.

        They wait for a worker that never comes, and say so.
        """
        stage = _stage(2)
        expected, directory = self._begin(stage)
        chief = worker_environments(2)[0]
        running = self._runner.start(
            stage, directory, environments=[chief, chief]
        )
        end = time.monotonic() + HANG_SECONDS
        problems = []
        for index, process in enumerate(running):
            wait_for_words = functools.partial(
                self._has_said, stage, index, process, " waits for "
            )
            while not wait_for_words() and time.monotonic() < end:
                time.sleep(0.1)
            output = self._runner.output(stage, index)
            if process.exitcode is None:
                _signal(process, signal.SIGTERM)
                (status,) = _join([process])
                if " waits for " not in output or status != 143:
                    problems.append(f"{index} waits, and ends with {status}")
            else:
                problems.append(find_bad_ending(process.exitcode, output))
        problems += self._run_again(stage, directory, expected)
        return _attempt(stage, "both are the chief", problems)

    def _has_said(
        self, stage: Stage, index: int, process: BaseProcess, words: str
    ) -> bool:
        said = self._runner.output(stage, index)
        return process.exitcode is not None or words in said

    def _draw_step(self) -> int:
        return self._rng.randrange(_NUM_STEPS)

    def _judge_lost(
        self, stage: Stage, running: Sequence[BaseProcess], lost: int | None
    ) -> list[str]:
        """Waits for the workers that have lost one; each must say so.

        A worker may have ended its work before. One that waits at the
        rendezvous for the lost one says so, and is ended here.
        """
        problems = []
        end = time.monotonic() + HANG_SECONDS
        for index, process in enumerate(running):
            if index == lost:
                process.join()
                continue
            waits = functools.partial(
                self._has_said, stage, index, process, " waits for "
            )
            while not waits() and time.monotonic() < end:
                time.sleep(0.1)
            output = self._runner.output(stage, index)
            if process.exitcode is None:
                _signal(process, signal.SIGTERM)
                (status,) = _join([process])
                if " waits for " not in output or status != 143:
                    problems.append(f"{index} does not end, then with {status}")
                continue
            problem = find_bad_ending(process.exitcode, output)
            if process.exitcode == 1 and "another worker is gone" not in output:
                problem = problem or f"{index} does not say why it ended"
            problems.append(problem)
        return problems

    def _run_again(
        self, stage: Stage, directory: Path, expected: Path
    ) -> list[str]:
        """Runs the workers to their end; describes what then differs."""
        running = self._runner.start(stage, directory)
        problems = self._finish(stage, running)
        problems += find_differences(directory, expected)
        return problems + find_leftovers(directory)

    def _finish(self, stage: Stage, running: list[BaseProcess]) -> list[str]:
        """Waits for workers, of which each must end with status 0."""
        problems = []
        for index, status in enumerate(_join(running)):
            if status != 0:
                output = self._runner.output(stage, index)
                last = (output.splitlines() or ["nothing"])[-1]
                problems.append(f"{index} ended with {status}: {last}")
        return problems


def _wait_for_step(process: BaseProcess, directory: Path, step: int) -> None:
    """Waits for the checkpoint after a step, or for the process's end."""
    path = directory / f"checkpoint-{step:08d}.h5"
    wait_for(process, lambda: path.exists() or step == 0)


def _signal(process: BaseProcess, number: signal.Signals) -> None:
    if process.exitcode is None and process.pid is not None:
        os.kill(process.pid, number)


def _join(running: Sequence[BaseProcess]) -> list[int | None]:
    """Returns the exit statuses; None for one that had to be killed."""
    end = time.monotonic() + HANG_SECONDS
    for process in running:
        process.join(max(end - time.monotonic(), 0))
    late = [process.exitcode is None for process in running]
    for process in running:
        process.kill()
        process.join()
    return [
        None if is_late else process.exitcode
        for process, is_late in zip(running, late, strict=True)
    ]


def _attempt(stage: Stage, deed: str, problems: Sequence[str]) -> Attempt:
    found = dict.fromkeys(text for text in problems if text)
    target = f"{len(stage.commands)} workers"
    return Attempt(target, deed, "; ".join(found))
