"""An export's card: its source, its cost and its scores."""

import json
from importlib import metadata
from pathlib import Path
from typing import Any

from distill.deployment.interface import CARD
from distill.reporting.machine import describe_machine

_RUNTIMES = ("onnxruntime", "tf2onnx", "ai-edge-litert")
_COLUMNS = (
    ("path", "artifact", "{}"),
    ("precision", "weights", "{}"),
    ("bytes", "bytes", "{:,}"),
    ("largest_difference", "largest difference", "{:.1e}"),
    ("gap", "GAP", "{:.4f}"),
    ("mean_average_precision", "mAP", "{:.4f}"),
    ("milliseconds_at_1", "ms per video, batch 1", "{:.3f}"),
    ("milliseconds_at_64", "batch 64", "{:.3f}"),
)


def environment() -> dict[str, str]:
    """Returns the machine and the versions of its runtimes."""
    versions = describe_machine()
    for package in _RUNTIMES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return versions


def write_card(directory: Path, card: dict[str, Any]) -> None:
    """Writes `card.json` and `card.md` into an export's directory."""
    write_json(directory / CARD, card)
    (directory / "card.md").write_text(card_text(card), encoding="utf-8")


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Writes a file of JSON that people read too."""
    text = json.dumps(values, indent=2, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8")


def card_text(card: dict[str, Any]) -> str:
    """Returns a card as Markdown."""
    source, network, data = card["source"], card["network"], card["data"]
    machine = dict(card["environment"])
    where = f"{machine.pop('processor')}, {machine.pop('cores')} cores"
    needed = ""
    if "frames_needed" in network:
        needed = f" classified ({network['frames_needed']} frames needed)"
    lines = [
        f"# {network['model']}, {network['frames_seen']}",
        "",
        f"- {source['role']} of `{source['checkpoint']}`, step "
        f"{source['step']} (SHA-256 `{source['sha256'][:16]}...`)",
        f"- {network['parameters']:,} parameters, "
        f"{network['macs']:,} MACs a video of "
        f"{network['frames']} frames{needed}, {network['num_classes']} classes",
        f"- GAP and mAP on {data['num_videos']:,} {data['examples']} of "
        f"`{data['pattern']}`; differences of probabilities from the "
        "checkpoint's on the same data",
        f"- Times on {where}: median time of a batch, divided by its videos; "
        + ", ".join(f"{name} {version}" for name, version in machine.items()),
        "",
        "| " + " | ".join(title for _, title, _ in _COLUMNS) + " |",
        "| " + " | ".join("---" for _ in _COLUMNS) + " |",
    ]
    for row in [card["checkpoint"], *card["artifacts"]]:
        cells = (
            "-" if row.get(key) is None else form.format(row[key])
            for key, _, form in _COLUMNS
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])
