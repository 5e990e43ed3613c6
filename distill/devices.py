"""Which device computes."""

import tensorflow as tf


def choose_device(gpu: int | None) -> None:
    """Makes one GPU, or none, visible; memory grows as it is needed.

    Args:
      gpu: Index of the GPU; -1 for the CPU; None for every GPU there is.

    Raises:
      ValueError: There is no such GPU; the message lists those there are.
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
    # TensorFlow says once a process, as an error, that it transposes booleans
    # without oneDNN, which it does for every mask: let it be said here, where
    # entry points do not show it.
    tf.transpose(tf.zeros([2, 2], tf.bool))
