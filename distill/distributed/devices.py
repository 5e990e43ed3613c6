"""The devices and processes that compute, by flags and TF_CONFIG."""

import json
import os
import signal
from collections.abc import Sequence

import tensorflow as tf

from distill.distributed.rendezvous import rendezvous
from distill.distributed.workers import Workers
from distill.models.argument_checks import check_choice
from distill.settings.run_options import STRATEGIES
from distill.system.deadline import ended_after

_CONNECTING_SECONDS = 45
_FORM = (
    '{"cluster": {"worker": ["HOST:PORT", ...]}, '
    '"task": {"type": "worker", "index": 0}}'
)


def choose_devices(
    gpu: int | None, strategy: str = "single", deterministic: bool = False
) -> Workers:
    """Makes one GPU, none (-1) or all (None) visible, and the strategy.

    Memory grows as it is needed. A deterministic operation gives the same
    bits again.

    Returns:
      This process among those that share the work.

    Raises:
      ValueError: There is no such GPU (the message lists those there are), or
        the strategy is wrong.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if gpu is not None and not -1 <= gpu < len(gpus):
        names = [f"{index}: {device.name}" for index, device in enumerate(gpus)]
        listed = ", ".join(names) if names else "none"
        raise ValueError(
            f"--gpu={gpu}: there is no such GPU. GPUs here: {listed}. "
            "--gpu=-1 computes on the CPU."
        )
    if gpu is not None:
        gpus = [gpus[gpu]] if gpu >= 0 else []
        tf.config.set_visible_devices(gpus, "GPU")
    for device in gpus:
        tf.config.experimental.set_memory_growth(device, True)
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    workers = start_workers(strategy)
    # Without oneDNN, TensorFlow prints once a process, as an error, that it
    # transposes booleans, which every mask needs. It prints it here, where
    # entry points hide it.
    tf.transpose(tf.zeros([2, 2], tf.bool))
    return workers


def start_workers(strategy: str) -> Workers:
    """Makes the strategy; several machines wait for one another.

    To be called before anything is computed. The help of --strategy describes
    the strategies.

    Raises:
      ValueError: The strategy is unknown, or TF_CONFIG is missing or wrong.
    """
    check_choice("strategy", strategy, STRATEGIES)
    text = os.environ.get("TF_CONFIG", "")
    if strategy == "multi_worker" and not text:
        raise ValueError(f"--strategy=multi_worker needs TF_CONFIG: {_FORM}.")
    addresses, rank = read_cluster(text) if text else ([], 0)
    if strategy == "multi_worker" or (
        strategy == "auto" and len(addresses) > 1
    ):
        return _start_multi_worker(addresses, rank)
    # TensorFlow would take it for the configuration of several machines.
    os.environ.pop("TF_CONFIG", None)
    kind = "GPU" if tf.config.get_visible_devices("GPU") else "CPU"
    devices = [device.name for device in tf.config.list_logical_devices(kind)]
    if strategy == "single" or len(devices) < 2:
        return Workers()
    mirrored = tf.distribute.MirroredStrategy(devices)
    return Workers(mirrored, num_replicas=mirrored.num_replicas_in_sync)


def _start_multi_worker(addresses: Sequence[str], rank: int) -> Workers:
    # TensorFlow logs the number of all-reduces of every graph.
    tf.get_logger().setLevel("WARNING")
    num_workers = len(addresses)
    rendezvous(addresses, rank)
    handler = signal.getsignal(signal.SIGTERM)
    with Workers(rank=rank, num_workers=num_workers).report_lost_worker():
        try:
            with ended_after(
                _CONNECTING_SECONDS,
                f"ERROR: worker {rank} of {num_workers}: another worker is "
                "gone or cannot be reached: they came to the rendezvous, but "
                f"did not connect within {_CONNECTING_SECONDS} seconds; start "
                "all workers again.",
            ):
                strategy = tf.distribute.MultiWorkerMirroredStrategy()
        finally:
            # TensorFlow has replaced the handler.
            signal.signal(signal.SIGTERM, handler)
    num_replicas = strategy.num_replicas_in_sync // num_workers
    return Workers(strategy, rank, num_workers, num_replicas)


def read_cluster(text: str) -> tuple[list[str], int]:
    """Returns the address of every process, the chief first, and our rank.

    Args:
      text: JSON with `cluster`, the addresses of `worker` and, if there is
        one, `chief`; and `task`, the `type` and `index` of this process.

    Raises:
      ValueError: The text has another form; the message says what is wrong.
    """
    try:
        config = json.loads(text)
        jobs = {
            name: list(config["cluster"][name]) for name in config["cluster"]
        }
        kind, rank = config["task"]["type"], int(config["task"]["index"])
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
    if kind not in jobs or not 0 <= rank < len(jobs[kind]):
        raise ValueError(
            f"TF_CONFIG names the task {kind} {rank}, which is not among "
            f"{jobs}."
        )
    if kind == "worker":
        rank += len(jobs.get("chief", ()))
    return addresses, rank
