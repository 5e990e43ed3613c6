"""Hostile clients of the service, beside an honest one."""

import random
from collections.abc import Iterator
from pathlib import Path

from distill.predictor import Predictor
from distill.system.open_files import free_descriptors
from tools.attacks.attempt import Attempt
from tools.attacks.hostile_clients import HostileClients
from tools.process_memory import resident_bytes
from tools.service_load.requests import LoadRequests
from tools.service_load.served import Served, served
from tools.service_load.steady_clients import SteadyClients
from tools.service_load.student import write_student

_OPEN_FILES = 256
_MAX_BODY_BYTES = 2**20
# Far more than the service may open.
_MAX_CONNECTIONS = 600
_SLOWEST_SECONDS = 60.0
# These ask for more predictions than the model can give: a full queue is
# answered with 503.
_OVERLOADING = ("pipelined", "never reading")
_LOG_BYTES = 100_000
# 16 bodies, 16 answers, and a hundred connections with buffers.
_GROWTH_BYTES = 160 * 2**20


def attack(
    work_dir: Path, num_tries: int, rng: random.Random
) -> Iterator[Attempt]:
    """Attacks a service of an ONNX file under a low limit on open files.

    During and after each attempt an honest client must get the right answers
    in time; memory and log must stay small, and the log without a trace.
    """
    seed = rng.randrange(2**31)
    artifact = write_student(work_dir / "export", "model.onnx", seed)
    predictor = Predictor.load(artifact)
    requests = LoadRequests(predictor, "student", seed)
    flags = (
        "--client_timeout_seconds=2",
        f"--max_body_bytes={_MAX_BODY_BYTES}",
    )
    log = work_dir / "service.log"
    with (
        served(artifact, log, *flags, open_files=_OPEN_FILES) as service,
        SteadyClients(service.port, [predictor], 1, seed) as honest,
    ):
        kinds = HostileClients(
            service.port,
            requests.good(8),
            requests.malformed(),
            min(_MAX_CONNECTIONS, free_descriptors() // 2),
            _MAX_BODY_BYTES,
            rng,
        ).kinds()
        honest.wait_for_answers()
        before = resident_bytes(service.process.pid)
        names = [*kinds] * (num_tries // len(kinds) + 1)
        for name in names[:num_tries]:
            deed, problem = kinds[name]()
            yield _judge(service, honest, before, name, deed, problem)
        status = service.stop()
        problem = "" if status == 0 else f"status {status}"
        yield Attempt("stop", "SIGTERM after all of them", problem)


def _judge(
    service: Served,
    honest: SteadyClients,
    before: int,
    name: str,
    deed: str,
    problem: str,
) -> Attempt:
    """Returns an attempt with what has gone wrong meanwhile."""
    honest.wait_for_answers()
    tally = honest.take()
    problems = [problem] * bool(problem) + tally.problems
    if tally.refused and name not in _OVERLOADING:
        problems.append(f"{tally.refused} honest requests got 503")
    if tally.slowest > _SLOWEST_SECONDS:
        problems.append("the honest client waited")
    growth = resident_bytes(service.process.pid) - before
    if growth > _GROWTH_BYTES:
        problems.append("too much memory")
    log = service.log.read_text(errors="replace")
    if "Traceback" in log:
        problems.append(f"a trace in the log: {log[-300:]!r}")
    if len(log) > _LOG_BYTES:
        problems.append(f"{len(log)} bytes of log")
    found = (
        f"{deed}; honest: {tally.answers.total()} answers, slowest "
        f"{tally.slowest:.2f} s; memory {growth / 2**20:+.0f} MB"
    )
    return Attempt(name, found, "; ".join(problems))
