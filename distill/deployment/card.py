"""An export's card: its source, its cost and its scores."""

import json
from importlib import metadata
from pathlib import Path
from typing import Any

from distill.deployment.interface import CARD
from distill.reporting.machine import describe_machine
from distill.settings.frame_cost import FrameCost

_RUNTIMES = ("onnxruntime", "tf2onnx", "ai-edge-litert")
_ALONE = "milliseconds_at_1"
_COLUMNS = (
    ("path", "artifact", "{}"),
    ("precision", "weights", "{}"),
    ("bytes", "bytes", "{:,}"),
    ("largest_difference", "largest difference", "{:.1e}"),
    ("gap", "GAP", "{:.4f}"),
    ("mean_average_precision", "mAP", "{:.4f}"),
    (_ALONE, "ms per video, batch 1", "{:.3f}"),
    ("milliseconds_at_64", "batch 64", "{:.3f}"),
)
_WHOLE = ("whole_milliseconds_at_1", "batch 1, with extraction", "{:.1f}")


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


def describe_extraction(
    frame: FrameCost | None, network: Any
) -> dict[str, Any]:
    """Returns the card's `extraction`: what it costs to make the features.

    Args:
      frame: The cost of a frame; None if it is not known.
      network: It says how many frames of a video are needed.

    Returns:
      Dict of `frames_needed` and, of a video, `macs` and `milliseconds`, as
      far as they are known, under `extraction`; empty without a cost.

    Raises:
      ValueError: There is a cost, but the network reads no frames.
    """
    given = frame.given() if frame is not None else {}
    if not given:
        return {}
    if not network.schema.frame_features:
        raise ValueError(
            f"{' and '.join(given)}: the network reads one vector a video, no "
            "frames."
        )
    frames = network.frames_needed
    costs = {
        name.removeprefix("frame_"): frames * each
        for name, each in given.items()
    }
    return {"extraction": {**given, "frames_needed": frames, **costs}}


def _extraction_lines(card: dict[str, Any]) -> list[str]:
    """Returns what a label costs from a video file on."""
    if not (extraction := card.get("extraction")):
        return []
    frames, sums = extraction["frames_needed"], []
    if "macs" in extraction:
        macs = card["network"]["macs"]
        sums.append(
            f"{frames} frames x {extraction['frame_macs']:,} + {macs:,} = "
            f"{extraction['macs'] + macs:,} MACs"
        )
    if "milliseconds" in extraction:
        sums.append(
            f"{frames} x {extraction['frame_milliseconds']:,g} = "
            f"{extraction['milliseconds']:,g} ms and the time of the network, "
            "whose sum is the last column"
        )
    return [f"- From a video file on, a label costs {'; '.join(sums)}"]


def card_text(card: dict[str, Any]) -> str:
    """Returns a card as Markdown."""
    source, network, data = card["source"], card["network"], card["data"]
    machine = dict(card["environment"])
    where = f"{machine.pop('processor')}, {machine.pop('cores')} cores"
    extracting = card.get("extraction", {}).get("milliseconds")
    columns = _COLUMNS if extracting is None else (*_COLUMNS, _WHOLE)
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
        *_extraction_lines(card),
        f"- GAP and mAP on {data['num_videos']:,} {data['examples']} of "
        f"`{data['pattern']}`; differences of probabilities from the "
        "checkpoint's on the same data",
        f"- Times on {where}: median time of a batch, divided by its videos; "
        + ", ".join(f"{name} {version}" for name, version in machine.items()),
        "",
        "| " + " | ".join(title for _, title, _ in columns) + " |",
        "| " + " | ".join("---" for _ in columns) + " |",
    ]
    for row in [card["checkpoint"], *card["artifacts"]]:
        if extracting is not None and row.get(_ALONE) is not None:
            row = row | {_WHOLE[0]: row[_ALONE] + extracting}
        cells = (
            "-" if row.get(key) is None else form.format(row[key])
            for key, _, form in columns
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])
