"""Program of each of several workers: `VIDEOS DIRECTORY`."""

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
        report = run(videos, directory, workers)
    path = directory / f"report-{workers.rank}.json"
    path.write_text(json.dumps(report))


def run(videos: Path, directory: Path, workers: Workers) -> dict:
    """Returns the results of the collective operations, runs and scores."""
    from worker_runs import RUNS, predict, score, train

    arrays = {
        "float64": np.array([0.5, workers.rank]),
        "int32": np.full(workers.rank + 1, workers.rank, np.int32),
        "bool": np.array([True, False][: 2 - workers.rank]),
        "float32": np.full((workers.rank, 2), 0.1, np.float32),
    }
    gathered = {
        name: [part.tolist() for part in workers.gather(values)]
        for name, values in arrays.items()
    }
    report = {
        "rank": workers.rank,
        "sum": workers.sum(np.array([1.5, workers.rank])).tolist(),
        "gathered": gathered,
    }
    for name in RUNS:
        train(name, videos, directory, workers)
    joint = directory / "joint"
    for shard_by in ("file", "batch"):
        report[shard_by] = score(joint, videos, workers, shard_by)
        predict(joint, videos, directory, workers, shard_by)
    return report | {"wrong": disagree(workers)}


def disagree(workers: Workers) -> str:
    """Returns the error of workers that are at different steps."""
    with contextlib.suppress(ValueError):
        workers.check_equal(7, "equal")
        workers.check_equal(workers.rank, "different")
    try:
        workers.check_equal(workers.rank, "Different steps")
    except ValueError as error:
        return str(error)
    return ""


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
