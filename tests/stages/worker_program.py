"""What each of several workers does in the tests: `VIDEOS DIRECTORY`."""

import contextlib
import json
import sys
from pathlib import Path

import numpy as np

from distill.distributed.devices import choose_devices
from distill.distributed.workers import Workers


def main(videos: Path, directory: Path) -> None:
    """Trains, scores and predicts as one of the workers."""
    workers = choose_devices(-1, "auto")
    with workers.exit_barrier():
        report = share(videos, directory, workers)
    path = directory / f"report-{workers.index}.json"
    path.write_text(json.dumps(report))


def share(videos: Path, directory: Path, workers: Workers) -> dict:
    """Returns what it was told by the others."""
    from worker_runs import RUNS, predict, score, train

    arrays = {
        "float64": np.array([0.5, workers.index]),
        "int32": np.full(workers.index + 1, workers.index, np.int32),
        "bool": np.array([True, False][: 2 - workers.index]),
        "float32": np.full((workers.index, 2), 0.1, np.float32),
    }
    gathered = {
        name: [part.tolist() for part in workers.gather(values)]
        for name, values in arrays.items()
    }
    report = {
        "index": workers.index,
        "sum": workers.sum(np.array([1.5, workers.index])).tolist(),
        "gathered": gathered,
    }
    for name in RUNS:
        train(name, videos, directory, workers)
    joint = directory / "joint"
    for shard_by in ("file", "batch"):
        report[shard_by] = score(joint, videos, workers, shard_by)
        predict(joint, videos, directory, workers, shard_by)
    return report | {"wrong": disagree(workers)}


def disagree(workers) -> str:
    """Returns what workers are told that would go on from other steps."""
    with contextlib.suppress(ValueError):
        workers.check_equal(7, "equal")
        workers.check_equal(workers.index, "different")
    try:
        workers.check_equal(workers.index, "Different steps")
    except ValueError as error:
        return str(error)
    return ""


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
