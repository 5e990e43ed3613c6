"""Drills: kill a stage, check its files, run it again, compare."""

import dataclasses
import random
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools.drills.comparison import find_broken, find_differences
from tools.drills.folder import final_name, leftovers, results
from tools.drills.moments import MOMENTS, Moment, Timing, draw_moment, measure
from tools.drills.processes import Processes
from tools.drills.running import StageRunner
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
        self._runner = StageRunner(work_dir, processes)
        self._rng = random.Random(seed)

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
        directory = self._runner.undisturbed / stage.name
        running = self._runner.start(stage, directory)
        timing = measure(running[0], directory)
        self._runner.finish_undisturbed(stage, running)
        return timing

    def _drill(self, stage: Stage, moments: Sequence[Moment]) -> Drill:
        directory = self._runner.disturbed(stage)
        expected = self._runner.undisturbed / stage.name
        shutil.rmtree(directory, ignore_errors=True)
        kills, problems = [], []
        for moment in moments:
            kill, faults = self._kill(stage, moment, directory)
            kills.append(kill)
            problems += faults
            problems += find_broken(directory, expected)
        running = self._runner.start(stage, directory)
        problems += self._runner.finish(stage, running)
        problems += find_differences(directory, expected)
        problems += [f"{name} is left" for name in leftovers(directory)]
        return Drill(stage.name, tuple(kills), tuple(dict.fromkeys(problems)))

    def _kill(
        self, stage: Stage, moment: Moment, directory: Path
    ) -> tuple[Kill, list[str]]:
        """Kills a process of a stage; returns the kill and the problems."""
        before = leftovers(directory)
        running = self._runner.start(stage, directory)
        chosen = self._rng.choice(running)
        alive = moment.wait(chosen, directory)
        if alive:
            chosen.kill()
        problems = self._runner.wait_for_others(stage, running, chosen)
        left = [name for name in leftovers(directory) if name not in before]
        hit = _describe(directory, left) if alive else _ENDED
        return Kill(moment, hit, len(left)), problems


def _describe(directory: Path, left: list[str]) -> str:
    """Describes what a killed process was writing, or had written last."""
    if left:
        return f"half of {', '.join(sorted(map(final_name, left)))}"
    written = results(directory).items()
    if not written:
        return "before any file"
    newest, _ = max(written, key=lambda item: item[1].stat().st_ctime_ns)
    return f"after {newest}"
