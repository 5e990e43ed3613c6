"""Input files that no stage makes: arrays and predictions in JSON lines."""

import json
from pathlib import Path

import h5py
import numpy as np

_NUM_VIDEOS = 30
_CLASSES = ("cat", "dog", "fox")


def write_inputs(folder: Path) -> None:
    """Writes `arrays.h5`, `predictions.jsonl`, `manifest.csv` and its arrays.

    The HDF5 file holds a group a video, the manifest names an .npz a video.
    """
    (folder / "arrays").mkdir(parents=True)
    random = np.random.default_rng(0)
    manifest, lines = ["path,labels"], []
    with h5py.File(folder / "arrays.h5", "w") as file:
        for number in range(_NUM_VIDEOS):
            name = f"v{number:02d}"
            frames = random.normal(size=(int(random.integers(2, 9)), 6))
            group, label = file.create_group(name), _CLASSES[number % 3]
            group["x"] = frames.astype(np.float32)
            group.attrs["labels"] = label
            np.savez(folder / f"arrays/{name}.npz", x=group["x"][()])
            manifest.append(f"arrays/{name}.npz,{label}")
            scores = {
                "video_id": name,
                "class_indexes": random.permutation(8)[:3].tolist(),
                "predictions": np.round(random.random(3), 3).tolist(),
            }
            lines.append(json.dumps(scores))
    (folder / "predictions.jsonl").write_text("\n".join(lines) + "\n")
    (folder / "manifest.csv").write_text("\n".join(manifest) + "\n")
