"""Runs stages: starts their processes and waits for them."""

import functools
import shutil
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path

from distill.distributed.launcher import free_ports, worker_config
from tools.drills.inputs import write_inputs
from tools.drills.processes import Processes, wait_for
from tools.drills.stages import Stage


class StageRunner:
    """Starts the processes of stages and says how they ended.

    Attributes:
      undisturbed: Directory of the undisturbed runs, by stages' names.
    """

    def __init__(self, work_dir: Path, processes: Processes):
        """Removes the files of earlier runs in a directory, makes inputs."""
        self.undisturbed = work_dir / "stages"
        self._output = work_dir / "output"
        self._processes = processes
        for folder in (self.undisturbed, self._output):
            shutil.rmtree(folder, ignore_errors=True)
        self._output.mkdir(parents=True)
        write_inputs(self.undisturbed / "inputs")

    def disturbed(self, stage: Stage) -> Path:
        """Returns the directory of a stage's other runs.

        It lies beside that of the undisturbed run, so that relative names of
        other files are the same in both.
        """
        return self.undisturbed / f"{stage.name}_disturbed"

    def start(
        self,
        stage: Stage,
        directory: Path,
        prepare: Callable[[], None] | None = None,
        chosen: int = 0,
        environments: Sequence[Mapping[str, str]] | None = None,
    ) -> list[BaseProcess]:
        """Starts all processes of a stage.

        Args:
          stage: The stage.
          directory: Directory of its results.
          prepare: Called in one process before its command; a function that
            can be pickled.
          chosen: Number of that process.
          environments: Additional environment variables of each process;
            those of `worker_environments` for workers.
        """
        directory.mkdir(parents=True, exist_ok=True)
        count = len(stage.commands)
        if environments is None:
            environments = (
                worker_environments(count)
                if stage.are_workers
                else [{}] * count
            )
        for index in range(count):
            self._output_file(stage, index).write_text("")
        return [
            self._processes.start(
                command.fill(directory, self.undisturbed),
                self._output_file(stage, index),
                environment,
                prepare if index == chosen else None,
            )
            for index, (command, environment) in enumerate(
                zip(stage.commands, environments, strict=True)
            )
        ]

    def output(self, stage: Stage, index: int) -> str:
        """Returns what the last process of a number has printed."""
        return self._output_file(stage, index).read_text(errors="replace")

    def _output_file(self, stage: Stage, index: int) -> Path:
        return self._output / f"{stage.name}_{index}.txt"

    def finish(self, stage: Stage, running: list[BaseProcess]) -> list[str]:
        """Waits for the processes; describes those that failed."""
        problems = []
        for index, process in enumerate(running):
            process.join()
            if process.exitcode != 0:
                last = self.output(stage, index).splitlines()[-1:]
                problems.append(
                    f"{stage.name} ended with status {process.exitcode}: "
                    f"{(last or ['nothing'])[0]}"
                )
        return problems

    def finish_undisturbed(
        self, stage: Stage, running: list[BaseProcess]
    ) -> None:
        """Waits for processes that nothing disturbs.

        Raises:
          ValueError: One of them fails.
        """
        problems = self.finish(stage, running)
        if problems:
            raise ValueError(f"Undisturbed: {'; '.join(problems)}")

    def wait_for_others(
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
            waits = functools.partial(self._waits, stage, index, process)
            if wait_for(process, waits, poll_seconds=0.1):
                process.kill()
                process.join()
            elif process.exitcode and (
                "another worker is gone" not in self.output(stage, index)
            ):
                problems.append(f"worker {index} does not say why it ended")
        return problems

    def _waits(self, stage: Stage, index: int, process: BaseProcess) -> bool:
        """Returns whether a worker says that it waits for another one."""
        return process.is_alive() and (
            " waits for " in self.output(stage, index)
        )


def worker_environments(count: int) -> list[dict[str, str]]:
    """Returns `TF_CONFIG` for each of some workers on this machine."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(count)]
    return [
        {"TF_CONFIG": worker_config(addresses, index)} for index in range(count)
    ]
