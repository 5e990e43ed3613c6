"""Processor, system and libraries of this machine."""

import os
import platform

import keras
import numpy as np


def describe_machine() -> dict[str, str]:
    """Returns processor, cores, system and the versions of the libraries."""
    backend = keras.backend.backend()
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "system": platform.platform(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "keras": keras.__version__,
        backend: __import__(backend).__version__,
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor()
