"""Time and memory of an export of the full-size student."""

import contextlib
import io
import tempfile
import time

from distill.system.storage import to_path
from tools.benchmark.networks import hierarchical_lstms, make_network
from tools.benchmark.plan import Plan, Sizes
from tools.benchmark.rows import Row
from tools.benchmark.videos import make_schema_of, written_videos
from tools.process_memory import peak_bytes, run_in_new_process


def measure(plan: Plan) -> list[Row]:
    """Returns the rows of one export, in a process of its own."""
    with (
        written_videos(plan, plan.export_videos) as files,
        tempfile.TemporaryDirectory(prefix="distill-benchmark-") as folder,
    ):
        checkpoint = f"{folder}/student.h5"
        run_in_new_process(_write_student, checkpoint, plan.sizes)
        seconds, num_bytes = run_in_new_process(
            _export, checkpoint, f"{folder}/export", ",".join(files)
        )
    name = "full-size student, default formats"
    return [
        Row("export", name, "s", seconds, target="<= 60 s"),
        Row(
            "export", name, "MB at most", num_bytes / 2**20, target="<= 4096 MB"
        ),
    ]


def _write_student(path: str, sizes: Sizes) -> None:
    """Writes a checkpoint of a student of fresh weights."""
    from distill.checkpoints.checkpoint import weight_names, write_checkpoint
    from distill.settings.run import RunSettings
    from distill.settings.training import TrainingSettings

    case = hierarchical_lstms(sizes, "export", "")
    network = make_network(case, sizes, "student")
    settings = RunSettings(
        make_schema_of(sizes), network.settings, TrainingSettings("none")
    )
    write_checkpoint(
        to_path(path),
        {"student": weight_names(network.model)},
        settings,
        {"step": 0},
    )


def _export(checkpoint: str, directory: str, pattern: str) -> tuple[float, int]:
    """Exports; returns the seconds and the peak bytes of this process."""
    import distill

    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        distill.export(checkpoint, directory, pattern)
    return time.perf_counter() - start, peak_bytes()
