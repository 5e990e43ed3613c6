"""The table of a measurement of very many predictions."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from distill.reporting.console import print_table


def print_measurements(found: Sequence[dict[str, Any]]) -> None:
    """Prints a column for each measurement."""
    print_table(("", *(each["work"] for each in found)), _rows(found))


def _rows(found: Sequence[dict[str, Any]]) -> Iterator[list[str]]:
    """Yields a title and the figures of each measurement."""

    def row(title: str, figures: str, values: Iterable[float]) -> list[str]:
        return [title, *(format(value, figures) for value in values)]

    def field(title: str, name: str, figures: str) -> list[str]:
        return row(title, figures, (each[name] for each in found))

    yield field("videos/s", "videos_per_second", ",.0f")
    yield field("seconds", "seconds", ",.1f")
    yield field("of which drawing predictions", "seconds_drawing", ",.1f")
    for samples in zip(*(each["samples"] for each in found), strict=True):
        yield row(
            f"MB resident after {samples[0]['videos']:,} videos",
            ",.0f",
            (sample["megabytes"] for sample in samples),
        )
    yield field("MB at most", "peak_megabytes", ",.0f")
    yield field("bytes of growth a video", "bytes_per_video", ",.1f")
    yield row(
        "temporary file, MB",
        ",.0f",
        (each["samples"][-1]["temporary_bytes"] / 1e6 for each in found),
    )
    for name in dict.fromkeys(key for each in found for key in each["result"]):
        values = [each["result"].get(name) for each in found]
        yield [name, *("-" if v is None else f"{v:,.6g}" for v in values)]
