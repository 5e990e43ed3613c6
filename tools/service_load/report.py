"""The table of a load test."""

import numpy as np

from distill.reporting.console import print_table
from tools.service_load.load import LoadResult

_PERCENTILES = (50, 90, 99)


def print_load_result(result: LoadResult) -> None:
    """Prints rate, latencies, statuses, wrong answers and memory."""
    print_table(("measure", "value"), load_rows(result))
    for error in result.errors:
        print(f"WRONG {error}")


def load_rows(result: LoadResult) -> list[tuple[str, str]]:
    """Returns the table's rows: a name and a value each."""
    answers = sum(map(len, result.latencies.values()))
    rows = [
        ("requests/s", f"{answers / result.seconds:,.1f}"),
        ("videos/s", f"{result.num_videos / result.seconds:,.1f}"),
    ]
    for kind, seconds in result.latencies.items():
        if not seconds:
            continue
        values = np.percentile(seconds, _PERCENTILES) * 1000
        for percentile, value in zip(_PERCENTILES, values, strict=True):
            name = f"p{percentile} of {kind} requests, ms"
            rows.append((name, f"{value:,.1f}"))
    for status in sorted(result.statuses, key=str):
        name = "without an answer" if status == "no answer" else status
        rows.append((f"answers {name}", f"{result.statuses[status]:,}"))
    rows.append(
        ("kinds of malformed requests refused", str(len(result.refused)))
    )
    rows.append(("wrong answers", f"{result.wrong:,}"))
    for moment, memory in result.memory.items():
        rows.append((f"server memory, {moment}, MB", f"{memory / 1e6:,.1f}"))
    return rows
