"""The table of a comparison of backends."""

from collections.abc import Iterable, Sequence

from distill.reporting.console import print_table
from tools.backends.comparison import BackendResult


def print_backends(
    results: Sequence[BackendResult], missing: Iterable[str]
) -> None:
    """Prints a row for each model and backend, and for each missing backend."""
    rows = [
        (
            result.model,
            result.backend,
            result.device,
            f"{result.difference:.1e}",
            *map(_format_time, (result.forward, result.gradient_step)),
        )
        for result in results
    ]
    rows += [("every model", backend, "not installed") for backend in missing]
    print_table(
        (
            "model",
            "backend",
            "device",
            "largest difference",
            "forward",
            "gradient step",
        ),
        rows,
        left=(0, 1, 2),
    )


def _format_time(seconds: float | None) -> str:
    return "-" if seconds is None else f"{1e3 * seconds:.1f} ms"
