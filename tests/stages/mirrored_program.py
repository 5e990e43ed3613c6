"""Program of one process with two replicas: `VIDEOS DIRECTORY`."""

import sys
from pathlib import Path

import tensorflow as tf

from distill.distributed.devices import choose_devices


def main(videos: Path, directory: Path) -> None:
    """Trains and predicts on two logical devices."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    device = tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(cpu, [device, device])
    workers = choose_devices(-1, "mirrored")
    assert (workers.num_workers, workers.num_replicas) == (1, 2)
    from worker_runs import predict, train

    for name in ("joint", "finetuned", "batch_norm"):
        train(name, videos, directory, workers)
    predict(directory / "joint", videos, directory, workers, "file")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
