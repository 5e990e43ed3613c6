"""The Apache Beam runner of the flags."""

from pathlib import Path
from typing import Any

from distill.cli.settings_flags import FLAGS, read
from distill.settings.beam import BeamSettings
from distill.system.storage import to_path


def beam_runner(directory: str | Path) -> Any:
    """Returns what does tasks on the workers; None: this process does them.

    Args:
      directory: A directory that all workers see.

    Raises:
      ValueError: There is no such runner, or a flag is wrong.
    """
    settings = read(BeamSettings)
    if settings.beam_runner is None:
        return None
    from distill.distributed.beam_tasks import BeamRunner

    gpu = FLAGS.gpu if "gpu" in FLAGS else -1
    return BeamRunner(settings, to_path(directory).absolute(), gpu)
