"""Metrics of networks: written as JSON, read back and printed as tables."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from distill.reporting.console import format_number, print_table
from distill.system.atomic_files import replace_atomically
from distill.system.small_files import read_small_text

_COMPARED = {
    "gap": "GAP",
    "hit_at_one": "Hit@1",
    "perr": "PERR",
    "mean_average_precision": "mAP",
    "mean_average_precision_at_k": "mAP at k",
    "segment_mean_average_precision": "segment mAP",
    "frames_needed": "frames needed",
    "frames": "frames",
    "parameters": "parameters",
    "macs": "MACs",
}


def write_metrics(path: str | Path, scores: Any) -> None:
    """Writes metrics as JSON, atomically."""
    with replace_atomically(path) as temporary:
        temporary.write_text(json.dumps(scores, indent=2) + "\n")


def read_named_scores(files: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Reads files, `NAME=FILE` or of two networks `NAME=FILE:ROLE`, by name.

    Raises:
      ValueError: An entry has another form, or its file has no such network.
    """
    scores = {}
    for entry in files:
        name, separator, file = entry.partition("=")
        path, colon, role = file.rpartition(":")
        if not colon or "/" in role:
            path, role = file, ""
        if not separator or not path:
            raise ValueError(f"--metrics_files: {entry!r} is not NAME=FILE.")
        networks = _read_networks(path)
        found = [n for n in networks if role in ("", n["role"])]
        if len(found) != 1:
            names = ", ".join(network["role"] for network in networks)
            raise ValueError(
                f"--metrics_files: {entry!r} must name one of {names}."
            )
        scores[name] = found[0]
    return scores


def _read_networks(path: str) -> list[dict[str, Any]]:
    try:
        metrics = json.loads(read_small_text(path))
    except (RecursionError, ValueError) as error:
        raise ValueError(
            f"--metrics_files: {path} is not a metrics file: {error}."
        ) from error
    networks = metrics if isinstance(metrics, list) else [metrics]
    for network in networks:
        if not isinstance(network, dict) or "role" not in network:
            raise ValueError(
                f"--metrics_files: {path} is not a metrics file: no 'role'."
            )
    return networks


def print_scores(scores: Sequence[Mapping[str, Any]]) -> None:
    """Prints the metrics of one or more networks, a column for each."""
    top_k = scores[0].get("top_k")
    titles = {
        "gap": f"GAP@{top_k}",
        "hit_at_one": "Hit@1",
        "perr": "PERR",
        "mean_average_precision": "mAP (every score)",
        "mean_average_precision_at_k": f"mAP (each video's top {top_k})",
        "segment_mean_average_precision": "segment mAP (rated segments)",
        "loss": "loss",
        "num_classes": "classes",
        "num_videos": "videos",
        "num_segments": "rated segments",
        "num_rated": "rated (segment, class) pairs",
        "frames_needed": "frames needed",
        "frames": "frames seen",
        "parameters": "parameters",
        "macs": "MACs a video",
        "examples_per_second": "videos/s",
        "device": "device",
        "step": "step",
    }
    top_n = scores[0].get("top_n")
    if top_n:
        titles["segment_mean_average_precision"] = (
            f"segment mAP (first {top_n} segments of a class)"
        )
    if "num_segments" in scores[0]:
        titles |= {
            "gap": "GAP (rated pairs)",
            "macs": "MACs a segment",
            "examples_per_second": "segments/s",
        }
    are_apart = any("frames_needed" in network for network in scores)
    if are_apart:
        titles["frames"] = "frames classified"
    print(scores[0]["checkpoint"])
    print_table(
        ["metric", *(network["role"] for network in scores)],
        [
            [title, *(_write(network, name) for network in scores)]
            for name, title in titles.items()
            if name in scores[0] or (name == "frames_needed" and are_apart)
        ],
    )


def print_comparison(scores: Mapping[str, Mapping[str, Any]]) -> None:
    """Prints a row for each network: its metrics, frames and cost."""
    columns = {
        key: title
        for key, title in _COMPARED.items()
        if any(key in network for network in scores.values())
    }
    if "frames_needed" in columns:
        columns["frames"] = "frames classified"
    print_table(
        ["network", *columns.values()],
        [
            [name, *(_write(network, key) for key in columns)]
            for name, network in scores.items()
        ],
    )


def _write(network: Mapping[str, Any], name: str) -> str:
    # Without its own number a network needs the frames that it sees.
    if name not in network and name == "frames_needed":
        name = "frames"
    return format_number(network.get(name))
