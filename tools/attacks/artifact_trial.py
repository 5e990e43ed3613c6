"""One artifact, loaded and run in a process of its own, within limits."""

import os
import resource
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path

from tools.process_memory import peak_bytes, resident_bytes

# A warm process has a tenth of that; the rest is for the artifact.
MOST_ADDRESSES = 12 * 2**30
MOST_NEW_BYTES = 2**30


def try_artifact(path: str, video: str, result: Connection) -> None:
    """Sends what came of loading an artifact and predicting a video.

    The result is `predicted`, `refused: MESSAGE` or `fault: REASON`.
    """
    folder = Path(path).parent
    os.chdir(folder)
    tempfile.tempdir = str(folder / "temporary")
    printed = os.memfd_create("printed")
    os.dup2(printed, 1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_ADDRESSES, MOST_ADDRESSES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Imports, before the limit of memory is measured.
    import numpy as np

    import distill

    example = np.load(video)
    before = resident_bytes()
    start = time.monotonic()
    try:
        predictor = distill.Predictor.load(path)
        count = example["num_frames"][0]
        predictor.predict(example["frames"][0, :count])
        outcome = "predicted"
    except ValueError as error:
        outcome = f"refused: {error}"
        if "\n" in str(error) or str(folder) not in str(error):
            outcome = f"fault: not one line with the path: {error!r}"
    except Exception as error:
        outcome = f"fault: {error!r:.200}"
    sys.stdout.flush()
    if size := os.fstat(printed).st_size:
        outcome = f"fault: it printed {os.pread(printed, size, 0)!r:.200}"
    taken = peak_bytes() - before
    if taken > MOST_NEW_BYTES:
        outcome = f"fault: {taken:,} bytes in {time.monotonic() - start:.0f} s"
    result.send(outcome)
    # Without the ends of the libraries, which are not attacked.
    os._exit(0)
