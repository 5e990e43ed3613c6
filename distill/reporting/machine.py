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
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    text = cpuinfo.read_text(encoding="utf-8") if cpuinfo.exists() else ""
    found = re.search(r"^model name\s*:(.*)$", text, re.MULTILINE)
    return found[1].strip() if found else platform.processor()
