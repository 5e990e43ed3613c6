"""Workers of one run must agree on its settings before they begin."""

import dataclasses
import json
import os
from typing import Any

import numpy as np

from distill.distributed.workers import Workers
from distill.settings.run import RunSettings
from distill.settings.run_options import RunOptions

_OWN_OPTIONS = ("quiet", "show_terms")


def check_agreement(
    workers: Workers, settings: RunSettings, options: RunOptions
) -> None:
    """Checks that all workers were started with the same settings.

    Otherwise they would train on what nobody asked for, or wait for one
    another for ever. Files may lie in other directories of each machine; their
    names must agree.

    Raises:
      ValueError: A setting differs; raised on all workers.
    """
    if workers.num_workers == 1:
        return
    own = json.dumps(_describe(settings, options)).encode()
    texts = workers.gather(np.frombuffer(own, np.uint8))
    chief, *others = (json.loads(text.tobytes()) for text in texts)
    for rank, other in enumerate(others, start=1):
        for name in sorted(chief | other):
            if chief.get(name) != other.get(name):
                raise ValueError(
                    "All workers must be started with the same settings: "
                    f"{name} is {chief.get(name)!r} for the chief, "
                    f"{other.get(name)!r} for worker {rank}."
                )


def _describe(settings: RunSettings, options: RunOptions) -> dict[str, Any]:
    """Returns all settings by name, paths without their directories."""
    described = dataclasses.asdict(options) | settings.by_name()
    return {
        name: _file_names(value) if isinstance(value, str) else value
        for name, value in described.items()
        if name not in _OWN_OPTIONS
    }


def _file_names(text: str) -> str:
    return ",".join(os.path.basename(part) for part in text.split(","))
