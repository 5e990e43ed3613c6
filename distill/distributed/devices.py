"""Which device computes."""

import tensorflow as tf

from distill.distributed.startup import start_workers
from distill.distributed.workers import Workers


def choose_devices(
    gpu: int | None, strategy: str = "single", deterministic: bool = False
) -> Workers:
    """Makes one GPU, none or all visible; memory grows as it is needed.

    Args:
      gpu: Index of the GPU; -1 for the CPU; None for every GPU there is.
      strategy: Which of them compute together: see `start_workers`.
      deterministic: Whether every operation gives the same bits again.

    Returns:
      This process among those that share the work.

    Raises:
      ValueError: There is no such GPU; the message lists those there are. Or
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
    # TensorFlow says once a process, as an error, that it transposes booleans
    # without oneDNN, which it does for every mask: let it be said here, where
    # entry points do not show it.
    tf.transpose(tf.zeros([2, 2], tf.bool))
    return workers
