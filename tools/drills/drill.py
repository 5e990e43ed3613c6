"""Drills: kill a stage, check its files, run it again, compare."""

import dataclasses
import functools
import random
import shutil
from collections.abc import Iterator, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

from distill.distributed.launcher import free_ports, worker_config
from tools.drills.comparison import find_broken, find_differences
from tools.drills.folder import final_name, leftovers, results
from tools.drills.moments import MOMENTS, Moment, Timing, draw_moment, measure
from tools.drills.processes import Processes, wait_for
from tools.drills.stages import Stage, with_needs

# One drill in so many kills the second run as well.
_DRILLS_A_SECOND_KILL = 3
_ENDED = "it had ended"
_MAX_DRILLS_A_KILL = 20


@dataclasses.dataclass(frozen=True)
class Kill:
    """A process that was killed.

    Attributes:
      moment: When it was killed.
      hit: What it was doing, to judge by its directory.
      leftovers: Number of temporary files that it left.
    """

    moment: Moment
    hit: str
    leftovers: int

    @property
    def came_late(self) -> bool:
        """The process had ended before."""
        return self.hit == _ENDED


@dataclasses.dataclass(frozen=True)
class Drill:
    """A stage that was killed and run again to its end.

    Attributes:
      stage: The stage's name.
      kills: One or two kills.
      problems: Files that were broken after a kill, or that differ in the end
        from the undisturbed run; empty if all is well.
    """

    stage: str
    kills: tuple[Kill, ...]
    problems: tuple[str, ...]

    def __str__(self) -> str:
        """Describes the drill in one line."""
        kills = ", then ".join(
            f"{kill.moment}: {kill.hit}, {kill.leftovers} left over"
            for kill in self.kills
        )
        outcome = "; ".join(self.problems) if self.problems else "equal"
        return f"{self.stage} | {kills} | {outcome}"


class Drills:
    """Runs stages undisturbed, then kills them.

    Args:
      work_dir: A directory for the drills; files of earlier drills there are
        removed.
      processes: Starts the processes of the stages.
      seed: Seed of the moments.
    """

    def __init__(self, work_dir: Path, processes: Processes, seed: int = 0):
        self._undisturbed = work_dir / "undisturbed"
        self._killed = work_dir / "killed"
        self._output = work_dir / "output"
        self._processes = processes
        self._rng = random.Random(seed)
        for folder in (self._undisturbed, self._killed, self._output):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)

    def run(
        self, stages: Sequence[Stage], num_kills: int
    ) -> Iterator[str | Drill]:
        """Yields a line for every undisturbed stage, then the drills.

        Args:
          stages: Stages to kill, in turn.
          num_kills: Number of kills; one that comes late does not count.

        Raises:
          ValueError: A stage fails undisturbed.
        """
        timings: dict[str, Timing] = {}
        for stage in with_needs(stages):
            timings[stage.name] = timing = self._run_undisturbed(stage)
            yield (
                f"{stage.name}: {timing.seconds:.1f} s undisturbed, "
                f"{len(timing.writes)} writes"
            )
        done = number = 0
        while done < num_kills and number < _MAX_DRILLS_A_KILL * num_kills:
            stage = stages[number % len(stages)]
            # Every stage gets every kind of moment in turn.
            turn = number % len(stages) + number // len(stages)
            kind = MOMENTS[turn % len(MOMENTS)]
            moments = self._draw_moments(timings[stage.name], kind)
            drill = self._drill(stage, moments[: num_kills - done])
            done += sum(not kill.came_late for kill in drill.kills)
            number += 1
            yield drill

    def _draw_moments(self, timing: Timing, kind: str) -> list[Moment]:
        moments = [draw_moment(self._rng, timing, kind, None)]
        if self._rng.randrange(_DRILLS_A_SECOND_KILL) == 0:
            # A resumed run may have few writes left.
            kind = self._rng.choice(MOMENTS)
            moments.append(draw_moment(self._rng, timing, kind, 2))
        return moments

    def _run_undisturbed(self, stage: Stage) -> Timing:
        directory = self._undisturbed / stage.name
        running = self._start(stage, directory)
        timing = measure(running[0], directory)
        problems = self._finish(stage, running)
        if problems:
            raise ValueError(f"Undisturbed: {'; '.join(problems)}")
        return timing

    def _drill(self, stage: Stage, moments: Sequence[Moment]) -> Drill:
        directory = self._killed / stage.name
        expected = self._undisturbed / stage.name
        shutil.rmtree(directory, ignore_errors=True)
        kills, problems = [], []
        for moment in moments:
            kill, faults = self._kill(stage, moment, directory)
            kills.append(kill)
            problems += faults
            problems += find_broken(directory, expected)
        running = self._start(stage, directory)
        problems += self._finish(stage, running)
        problems += find_differences(directory, expected)
        problems += [f"{name} is left" for name in leftovers(directory)]
        return Drill(stage.name, tuple(kills), tuple(dict.fromkeys(problems)))

    def _kill(
        self, stage: Stage, moment: Moment, directory: Path
    ) -> tuple[Kill, list[str]]:
        """Kills a process of a stage; returns the kill and the problems."""
        before = leftovers(directory)
        running = self._start(stage, directory)
        chosen = self._rng.choice(running)
        alive = moment.wait(chosen, directory)
        if alive:
            chosen.kill()
        problems = self._wait_for_others(stage, running, chosen)
        left = [name for name in leftovers(directory) if name not in before]
        hit = _describe(directory, left) if alive else _ENDED
        return Kill(moment, hit, len(left)), problems

    def _wait_for_others(
        self, stage: Stage, running: list[BaseProcess], chosen: BaseProcess
    ) -> list[str]:
        """Waits for all processes to end; returns the workers' problems.

        A worker that waits for the killed one at the rendezvous says so after
        some time and is ended here.
        """
        problems = []
        for index, process in enumerate(running):
            if process is chosen or not stage.are_workers:
                process.join()
                continue
            output = self._output_file(stage, index)
            waits = functools.partial(_waits, process, output)
            if wait_for(process, waits, poll_seconds=0.1):
                process.kill()
                process.join()
            elif process.exitcode and "another worker is gone" not in (
                output.read_text()
            ):
                problems.append(f"worker {index} does not say why it ended")
        return problems

    def _start(self, stage: Stage, directory: Path) -> list[BaseProcess]:
        directory.mkdir(parents=True, exist_ok=True)
        for index in range(len(stage.commands)):
            self._output_file(stage, index).write_text("")
        return [
            self._processes.start(
                command.fill(directory, self._undisturbed),
                self._output_file(stage, index),
                environment,
            )
            for index, (command, environment) in enumerate(
                zip(stage.commands, _environments(stage), strict=True)
            )
        ]

    def _output_file(self, stage: Stage, index: int) -> Path:
        return self._output / f"{stage.name}_{index}.txt"

    def _finish(self, stage: Stage, running: list[BaseProcess]) -> list[str]:
        """Waits for the processes; describes those that failed."""
        problems = []
        for index, process in enumerate(running):
            process.join()
            if process.exitcode != 0:
                output = self._output_file(stage, index).read_text()
                last = output.splitlines()[-1:] or ["nothing"]
                problems.append(
                    f"{stage.name} ended with status {process.exitcode}: "
                    f"{last[0]}"
                )
        return problems


def _waits(process: BaseProcess, output: Path) -> bool:
    """Returns whether a worker waits for another one, to judge by its words."""
    return process.is_alive() and " waits for " in output.read_text()


def _environments(stage: Stage) -> list[dict[str, str]]:
    """Returns the environment of each process: `TF_CONFIG` for workers."""
    count = len(stage.commands)
    if not stage.are_workers:
        return [{}] * count
    addresses = [f"127.0.0.1:{port}" for port in free_ports(count)]
    return [
        {"TF_CONFIG": worker_config(addresses, index)} for index in range(count)
    ]


def _describe(directory: Path, left: list[str]) -> str:
    """Describes what a killed process was writing, or had written last."""
    if left:
        return f"half of {', '.join(sorted(map(final_name, left)))}"
    written = results(directory).items()
    if not written:
        return "before any file"
    newest, _ = max(written, key=lambda item: item[1].stat().st_ctime_ns)
    return f"after {newest}"
