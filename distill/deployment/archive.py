"""One archive of an artifact, within a limit of bytes.

The YouTube-8M challenge of 2018 asked for it: `model_flags.json` beside the
model, at most 1 GB.
"""

import json
import tarfile
from pathlib import Path

from distill.deployment.artifacts import count_bytes
from distill.deployment.interface import CARD, artifact_rows, read_card
from distill.models.argument_checks import check_choice
from distill.settings.class_names import CLASS_NAMES
from distill.system.atomic_files import replace_atomically
from distill.system.storage import local_copy, to_path

FLAGS_FILE = "model_flags.json"


def write_archive(directory: str | Path, artifact: str, max_bytes: int) -> str:
    """Packs an artifact of an export; returns a line with path and size.

    Raises:
      ValueError: There is no such artifact, or the archive would be larger.
    """
    directory = to_path(directory)
    card = read_card(directory, ["interface", "network"])
    names = list(artifact_rows(directory, card))
    check_choice("archive", artifact, names)
    schema, network = card["interface"]["schema"], card["network"]
    flags = {
        "model": network["model"],
        "feature_names": ",".join(schema["feature_names"]),
        "feature_sizes": ",".join(map(str, schema["feature_sizes"])),
        "frame_features": schema["frame_features"],
        "label_loss": network["label_loss"],
    }
    target = directory / f"{artifact}.tar.gz"
    with replace_atomically(target) as temporary:
        with replace_atomically(directory / FLAGS_FILE) as flags_file:
            text = json.dumps(flags, indent=2) + "\n"
            flags_file.write_text(text, encoding="utf-8")
        with tarfile.open(temporary, "w:gz") as archive:
            for name in (FLAGS_FILE, CARD, CLASS_NAMES, artifact):
                with local_copy(directory / name) as file:
                    archive.add(file, name)
        size = temporary.stat().st_size
        if size > max_bytes:
            held = sorted((count_bytes(directory / n), n) for n in names)
            sizes = [f"{name} has {held_bytes:,}" for held_bytes, name in held]
            raise ValueError(
                f"{target.name} has {size:,} bytes, {size - max_bytes:,} over "
                f"--max_bytes={max_bytes:,}: {', '.join(sizes)}."
            )
    return f"{target}: {size:,} bytes"
