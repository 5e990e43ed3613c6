"""The rates and estimates of runs over a whole data set, as text."""

from collections.abc import Sequence

import rich.console
import rich.table

from distill.benchmark.machine import describe_machine
from distill.benchmark.scale import Estimate, Rates, checkpoint_bytes


def print_scale(rates: Rates, estimates: Sequence[Estimate]) -> None:
    """Prints what was measured, and a line for each estimate."""
    for name, value in describe_machine().items():
        print(f"{name}: {value}")
    print(
        f"joint step of {rates.batch_size} videos: {rates.step_seconds:.2f} s, "
        f"{rates.batch_size / rates.step_seconds:.1f} videos/s"
    )
    print(
        f"reading: {rates.read_videos:,.0f} videos/s, "
        f"{rates.video_bytes / 1e3:,.0f} kB a video"
    )
    print(
        f"weights: {rates.parameters:,}; gradients of a step "
        f"{4 * rates.parameters / 1e9:.3f} GB, a checkpoint "
        f"{checkpoint_bytes(rates) / 1e9:.3f} GB"
    )
    if rates.exchange_bytes is not None:
        print(
            f"exchange: {rates.exchange_bytes / 1e9:.2f} GB of gradients a "
            "second between two workers"
        )
    table = rich.table.Table()
    for title in (
        "machines",
        "Gbit/s",
        "global batch",
        "steps",
        "exchange s",
        "hours",
        "waits for",
        "MB/s read, each",
    ):
        table.add_column(title, justify="right")
    for row in estimates:
        table.add_row(
            str(row.machines),
            "-" if row.machines == 1 else f"{row.network_bits / 1e9:g}",
            f"{row.machines * rates.batch_size:,}",
            f"{row.steps:,}",
            f"{row.exchange_seconds:.2f}",
            f"{row.hours:,.1f}",
            row.bound,
            f"{row.machine_read_bytes / 1e6:.1f}",
        )
    rich.console.Console(width=100).print(table)
