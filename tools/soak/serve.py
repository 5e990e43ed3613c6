"""Serves at full load and reloads at random moments.

Two students with different weights take turns at the place of the served
artifact. Exits with status 1 if an answer is neither's, a request is lost or
refused, a reload fails, the log is not empty, or memory grows.
"""

import dataclasses
import random
import sys
import tempfile
import time
from pathlib import Path

from absl import flags

from distill.cli.entry_point import run, start_tensorflow
from distill.cli.settings_flags import specs
from distill.models.argument_checks import check_choice
from distill.models.options import option
from distill.system.storage import local_path
from tools.process_memory import resident_bytes
from tools.service_load.served import Served, served
from tools.service_load.steady_clients import SteadyClients, Tally
from tools.service_load.student import put_in_place, write_student

FLAGS = flags.FLAGS
ARTIFACTS = ("model.onnx", "saved_model", "model.keras", "model.tflite")
_TITLES = ("measure", "value")
_TICK_SECONDS = 1.0
# Of the memory in the last quarter against that in the first; the first
# reloads of a short soak still fill the allocator's pools.
_MOST_GROWTH = 0.1
_POOL_BYTES = 16e6
_RELOAD_SECONDS = 600.0


@dataclasses.dataclass(frozen=True)
class ServeSettings:
    """Settings of the soak test of the service."""

    minutes: float = option(60.0, "Duration.", minimum=0.05)
    seed: int = option(0, "Seed of weights, requests and moments.")
    soak_artifact: str = option(
        "model.onnx", f"Kind of the artifact: {', '.join(ARTIFACTS)}."
    )
    num_clients: int = option(8, "Clients that ask at a time.", minimum=1)
    num_workers: int = option(1, "Processes of the service.", minimum=1)
    reload_seconds: float = option(
        20.0, "Mean seconds between two reloads.", minimum=0.1
    )
    work_dir: str | None = option(
        None, "Directory of the artifacts. Default: a temporary one."
    )
    report: str | None = option(None, "Markdown file for the summary.")


FLAG_GROUPS = [specs(ServeSettings)]


@dataclasses.dataclass
class _Found:
    """What the soak has found.

    Attributes:
      tally: What the clients have met.
      reloads: Reloads that have ended.
      memory: Resident bytes of all processes of the service, every second.
      problems: Faults, in words.
    """

    tally: Tally = dataclasses.field(default_factory=Tally)
    reloads: int = 0
    memory: list[int] = dataclasses.field(default_factory=list)
    problems: list[str] = dataclasses.field(default_factory=list)

    def add(self, tally: Tally) -> None:
        """Adds what the clients have met since the last time."""
        total = self.tally
        total.answers += tally.answers
        total.slowest = max(total.slowest, tally.slowest)
        for name in ("retried", "refused", "lost", "wrong"):
            count = getattr(total, name) + getattr(tally, name)
            setattr(total, name, count)
        total.problems += tally.problems

    def quarters(self) -> tuple[float, float]:
        """Returns the mean bytes of the first and of the last quarter."""
        count = max(len(self.memory) // 4, 1)
        first, last = self.memory[:count], self.memory[-count:]
        return sum(first) / count, sum(last) / count


def main() -> int:
    """Runs the soak; returns 1 if it has found a fault."""
    check_choice("soak_artifact", FLAGS.soak_artifact, ARTIFACTS)
    start_tensorflow(gpu=-1)
    if FLAGS.work_dir is not None:
        return _report(_soak(local_path("work_dir", FLAGS.work_dir)))
    with tempfile.TemporaryDirectory(prefix="distill-soak-") as directory:
        return _report(_soak(Path(directory)))


def _soak(work_dir: Path) -> _Found:
    from distill.predictor import Predictor

    name = FLAGS.soak_artifact
    exports = [work_dir / "first", work_dir / "second"]
    predictors = [
        Predictor.load(write_student(export, name, FLAGS.seed + index))
        for index, export in enumerate(exports)
    ]
    place = work_dir / "served"
    put_in_place(exports[0], place)
    found = _Found()
    log = work_dir / "service.log"
    with served(place / name, log, f"--workers={FLAGS.num_workers}") as service:
        with SteadyClients(
            service.port, predictors, FLAGS.num_clients, FLAGS.seed
        ) as clients:
            _reload_at_random(service, clients, exports, place, found)
        found.add(clients.take())
        status = service.stop()
    return _judge(found, log.read_text(errors="replace"), status)


def _reload_at_random(
    service: Served,
    clients: SteadyClients,
    exports: list[Path],
    place: Path,
    found: _Found,
) -> None:
    """Lets the exports take turns until the time is over."""
    rng = random.Random(FLAGS.seed)
    end = time.monotonic() + 60 * FLAGS.minutes
    turn = 0
    while time.monotonic() < end and not found.problems:
        until = time.monotonic() + rng.expovariate(1 / FLAGS.reload_seconds)
        while time.monotonic() < min(until, end):
            time.sleep(_TICK_SECONDS)
            found.memory.append(_memory(service.process.pid))
        turn = 1 - turn
        put_in_place(exports[turn], place)
        _reload(service, found)
        clients.wait_for_answers()
        found.add(clients.take())
        clients.wait_for_answers()
        found.add(after := clients.take())
        if after.answers[1 - turn]:
            found.problems.append("the old artifact after a reload")


def _reload(service: Served, found: _Found) -> None:
    """Reloads and waits until every process of the service has done it."""
    wanted = len(service.lines) + FLAGS.num_workers
    service.reload()
    end = time.monotonic() + _RELOAD_SECONDS
    while len(service.lines) < wanted:
        if service.log.stat().st_size or time.monotonic() > end:
            found.problems.append("a reload has failed")
            return
        time.sleep(_TICK_SECONDS / 20)
    found.reloads += 1


def _memory(pid: int) -> int:
    """Returns the resident bytes of a process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    pids = [pid, *map(int, children.read_text().split())]
    return sum(map(resident_bytes, pids))


def _judge(found: _Found, log: str, status: int) -> _Found:
    """Adds the faults that show in the end."""
    tally, problems = found.tally, found.problems
    problems += tally.problems
    problems += [f"{tally.refused} requests got 503"] * bool(tally.refused)
    if status != 0:
        problems.append(f"the service ended with status {status}")
    if log:
        problems.append(f"its log: {log[:500]}")
    first, last = found.quarters()
    if last > first * (1 + _MOST_GROWTH) + _POOL_BYTES:
        problems.append("memory has grown")
    return found


def _report(found: _Found) -> int:
    from distill.reporting.console import print_table
    from distill.system.atomic_files import replace_atomically

    rows = _rows(found)
    print_table(_TITLES, rows)
    lines = [f"FAULT: {problem}" for problem in found.problems]
    print("\n".join(lines or ["no fault"]))
    if FLAGS.report is not None:
        command = " ".join([sys.argv[0], *sys.argv[1:]])
        table = [_TITLES, ("---", "---"), *rows]
        text = [f"`{command}`", ""]
        text += [f"| {' | '.join(cells)} |" for cells in table]
        with replace_atomically(FLAGS.report) as temporary:
            temporary.write_text("\n".join([*text, "", *lines, ""]))
    return int(bool(found.problems))


def _rows(found: _Found) -> list[tuple[str, str]]:
    tally = found.tally
    first, last = found.quarters()
    return [
        ("minutes", f"{FLAGS.minutes:g}"),
        ("answers of the first artifact", f"{tally.answers[0]:,}"),
        ("answers of the second artifact", f"{tally.answers[1]:,}"),
        ("wrong answers", f"{tally.wrong:,}"),
        ("lost requests", f"{tally.lost:,}"),
        ("answers 503", f"{tally.refused:,}"),
        ("requests sent again", f"{tally.retried:,}"),
        ("slowest answer, s", f"{tally.slowest:.2f}"),
        ("reloads", f"{found.reloads:,}"),
        ("memory in the first quarter, MB", f"{first / 1e6:,.1f}"),
        ("memory in the last quarter, MB", f"{last / 1e6:,.1f}"),
        ("faults", f"{len(found.problems):,}"),
    ]


if __name__ == "__main__":
    run(main, FLAG_GROUPS)
