"""Processor, system and libraries of this machine."""

import os
import pathlib
import platform
import re

import numpy as np


def describe_machine() -> dict[str, str]:
    """Returns processor, cores, system and the versions of the libraries."""
    # The cards of exports are read without Keras.
    import keras

    backend = keras.backend.backend()
    accelerator = accelerator_name()
    return {
        **({"accelerator": accelerator} if accelerator else {}),
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "system": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "keras": keras.__version__,
        backend: __import__(backend).__version__,
    }


def accelerator_name() -> str | None:
    """Returns the name of the GPU that Keras's backend uses; None without."""
    import keras

    backend = keras.backend.backend()
    framework = __import__(backend)
    if backend == "torch":
        cuda = framework.cuda
        return cuda.get_device_name() if cuda.is_available() else None
    if backend == "jax":
        device = framework.devices()[0]
        return None if device.platform == "cpu" else device.device_kind
    devices = framework.config.get_visible_devices("GPU")
    if not devices:
        return None
    details = framework.config.experimental.get_device_details(devices[0])
    return details.get("device_name", "GPU")


def _processor() -> str:
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    text = cpuinfo.read_text(encoding="utf-8") if cpuinfo.exists() else ""
    found = re.search(r"^model name\s*:(.*)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.processor()
