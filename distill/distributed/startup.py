"""Which devices and processes compute together: by a flag and TF_CONFIG."""

import dataclasses
import faulthandler
import json
import os
import signal
import sys

import tensorflow as tf

from distill.distributed.rendezvous import meet
from distill.distributed.workers import Workers
from distill.models.argument_checks import check_choice
from distill.settings.run_options import STRATEGIES

_CONNECTING_SECONDS = 45
_FORM = (
    '{"cluster": {"worker": ["HOST:PORT", ...]}, '
    '"task": {"type": "worker", "index": 0}}'
)


def start_workers(strategy: str) -> Workers:
    """Makes the strategy and, of several machines, waits for the others.

    To be called before anything is computed.

    Args:
      strategy: `single`: one device; `mirrored`: all visible GPUs;
        `multi_worker`: those of all machines that TF_CONFIG names; `auto`: the
        last where it names more than one, else all visible GPUs.

    Raises:
      ValueError: The strategy is unknown, or TF_CONFIG is missing or wrong.
    """
    check_choice("strategy", strategy, STRATEGIES)
    text = os.environ.get("TF_CONFIG", "")
    cluster = read_cluster(text) if text else None
    if strategy == "multi_worker" and cluster is None:
        raise ValueError(f"--strategy=multi_worker needs TF_CONFIG: {_FORM}.")
    if strategy == "auto" and cluster and len(cluster.addresses) > 1:
        strategy = "multi_worker"
    if strategy == "multi_worker":
        return _start_multi_worker(cluster)
    # What TensorFlow would make of it is for several machines alone.
    os.environ.pop("TF_CONFIG", None)
    if strategy == "single" or len(_mirrored_devices()) < 2:
        return Workers()
    mirrored = tf.distribute.MirroredStrategy(_mirrored_devices())
    return Workers(mirrored, num_replicas=mirrored.num_replicas_in_sync)


def _mirrored_devices() -> list[str]:
    """Returns the GPUs' names or, without any, the CPUs'."""
    physical = tf.config.get_visible_devices("GPU")
    kind = "GPU" if physical else "CPU"
    return [device.name for device in tf.config.list_logical_devices(kind)]


def _start_multi_worker(cluster: "Cluster") -> Workers:
    # It says of every graph how many sums it holds.
    tf.get_logger().setLevel("WARNING")
    index, count = cluster.index, len(cluster.addresses)
    meet(cluster.addresses, index)
    handler = signal.getsignal(signal.SIGTERM)
    with Workers(index=index, count=count).report_lost_worker():
        # Nothing of Python's runs until all have met once more.
        faulthandler.dump_traceback_later(
            _CONNECTING_SECONDS, exit=True, file=sys.stdout
        )
        try:
            strategy = tf.distribute.MultiWorkerMirroredStrategy()
        finally:
            faulthandler.cancel_dump_traceback_later()
            # TensorFlow has put its own in its place.
            signal.signal(signal.SIGTERM, handler)
    num_replicas = strategy.num_replicas_in_sync // count
    return Workers(strategy, index, count, num_replicas)


@dataclasses.dataclass(frozen=True)
class Cluster:
    """What TF_CONFIG says.

    Attributes:
      addresses: `host:port` of every process, the chief first.
      index: Number of this one.
    """

    addresses: tuple[str, ...]
    index: int


def read_cluster(text: str) -> Cluster:
    """Reads TF_CONFIG.

    Args:
      text: JSON with `cluster`, the addresses by `worker` and, if one is named
        so, `chief`; and `task`, the `type` and `index` of this process.

    Raises:
      ValueError: It is of another form; the message says what is wrong.
    """
    try:
        config = json.loads(text)
        jobs = {
            name: list(config["cluster"][name]) for name in config["cluster"]
        }
        kind, index = config["task"]["type"], int(config["task"]["index"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"TF_CONFIG is {text!r}, not of the form {_FORM}."
        ) from error
    unknown = sorted(set(jobs) - {"chief", "worker"})
    if unknown:
        raise ValueError(
            f"TF_CONFIG names the jobs {unknown}; known are chief and worker."
        )
    addresses = [*jobs.get("chief", ()), *jobs.get("worker", ())]
    if kind not in jobs or not 0 <= index < len(jobs[kind]):
        raise ValueError(
            f"TF_CONFIG names the task {kind} {index}, which is not among "
            f"{jobs}."
        )
    if kind == "worker":
        index += len(jobs.get("chief", ()))
    return Cluster(tuple(addresses), index)
