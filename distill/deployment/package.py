"""An exported network as a folder in the layout of Hugging Face's model hub.

The hub shows `README.md`, whose head of YAML says what the model is:
https://huggingface.co/docs/hub/model-cards.
"""

import json
import re
import shutil
from pathlib import Path
from typing import Any

from distill.deployment import card as cards
from distill.deployment.interface import (
    CARD,
    EXAMPLE,
    VideoInterface,
    artifact_rows,
    bad_card,
    read_card,
    read_interface,
)
from distill.deployment.runtimes import require_checked
from distill.deployment.unpacking import unpacked
from distill.models.argument_checks import check_choice
from distill.settings.class_names import CLASS_NAMES
from distill.system.atomic_files import replace_directory
from distill.system.storage import local_copy, to_path

README = "README.md"
CONFIG = "config.json"
_TASK = "video-classification"
_METRICS = (("gap", "GAP"), ("mean_average_precision", "mAP"))
_USAGE = """
## Use

{inputs} `{class_names}` names the {num_classes} classes. `{example}` holds a
video and its `predictions`. With this toolkit:

```python
import distill
import numpy as np

example = np.load("{example}")
predictor = distill.Predictor.load("{artifact}")
prediction = predictor.predict({video}, top_k=5)
print(prediction.class_names, prediction.probabilities)
```
"""
_PLAIN_USAGE = """
Without it, by `pip install {package} numpy`:

```python
import csv

import numpy as np
{load}

example = np.load("{example}")
inputs = {{name: example[name] for name in {names}}}
{run}
names = [row[1] for row in csv.reader(open("{class_names}"))][1:]
for index in np.argsort(-probabilities[0])[:5]:
    print(f"{{probabilities[0, index]:.3f}} {{names[index]}}")
```
"""
_ONNX = {
    "package": "onnxruntime",
    "load": "import onnxruntime",
    "run": 'session = onnxruntime.InferenceSession("{artifact}")\n'
    '(probabilities,) = session.run(["predictions"], inputs)',
}
_LITERT = {
    "package": "ai-edge-litert",
    "load": "from ai_edge_litert.interpreter import Interpreter",
    "run": 'run = Interpreter("{artifact}").get_signature_runner()\n'
    'probabilities = run(**inputs)["predictions"]',
}
_RUNTIMES = {"onnx": _ONNX, "litert": _LITERT}


def write_package(
    artifact: str | Path,
    directory: str | Path,
    license_id: str | None = None,
    trust_artifact: bool = False,
) -> None:
    """Writes an artifact with its card as a folder for the hub, or nothing.

    The folder holds the artifact, `README.md`, `config.json`, and the export's
    `card.json`, `class_names.csv` and `example.npz`; `Predictor` loads the
    artifact from there.

    Args:
      artifact: An artifact in the directory of an export, or its archive.
      directory: The folder to write; it must be new or empty.
      license_id: The hub's identifier of the license, such as `apache-2.0`.
      trust_artifact: Whether the artifact is taken without its check.

    Raises:
      ValueError: It is not an artifact of an export, the check refuses it, the
        license is not an identifier, or the folder is not empty.
    """
    directory = to_path(directory)
    if license_id and not re.fullmatch("[a-z0-9][a-z0-9.-]*", license_id):
        raise ValueError(
            "license must be an identifier of the hub, such as apache-2.0 or "
            f"cc-by-4.0, got {license_id!r}."
        )
    with unpacked(artifact) as held:
        _write_package(held, directory, license_id, trust_artifact)


def _write_package(
    artifact: Path,
    directory: Path,
    license_id: str | None,
    trust_artifact: bool,
) -> None:
    source = artifact.parent
    card = read_card(source, ["network", "data"])
    rows = artifact_rows(source, card)
    row = rows[check_choice("artifact", artifact.name, rows)]
    interface = read_interface(source)
    require_checked(artifact, trust_artifact)
    card["artifacts"] = [row]
    try:
        readme = "".join(
            [
                _front_matter(card, row, directory.resolve().name, license_id),
                cards.card_text(card),
                _usage(row, interface),
            ]
        )
        config = _config(card, row, interface)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise bad_card(source, f"no or wrong {error}") from error
    with replace_directory(directory) as folder:
        for name in (artifact.name, CLASS_NAMES, EXAMPLE):
            with local_copy(source / name) as file:
                copy = shutil.copytree if file.is_dir() else shutil.copy
                copy(file, folder / name)
        cards.write_json(folder / CARD, card)
        cards.write_json(folder / CONFIG, config)
        (folder / README).write_text(readme, encoding="utf-8")


def _front_matter(
    card: dict[str, Any],
    row: dict[str, Any],
    name: str,
    license_id: str | None,
) -> str:
    data = Path(card["data"]["pattern"]).name
    scores = [
        {"type": key, "name": title, "value": row[key]}
        for key, title in _METRICS
    ]
    result = {
        "task": {"type": _TASK},
        "dataset": {"type": data, "name": data},
        "metrics": scores,
    }
    fields = {
        "library_name": "distill",
        "pipeline_tag": _TASK,
        "tags": [_TASK, "knowledge-distillation", row["format"]],
        "metrics": [key for key, _ in _METRICS],
        "model-index": [{"name": name, "results": [result]}],
    }
    if license_id:
        fields["license"] = license_id
    # JSON is YAML.
    lines = [f"{key}: {json.dumps(value)}" for key, value in fields.items()]
    return "\n".join(["---", *lines, "---", "", ""])


def _usage(row: dict[str, Any], interface: VideoInterface) -> str:
    schema = interface.schema
    if schema.frame_features:
        names = ["frames", "num_frames"]
        video = 'example["frames"][0, : example["num_frames"][0]]'
        inputs = (
            f"The inputs are `frames` {schema.frame_type} `[batch, "
            f"{schema.max_frames}, "
            f"{schema.num_features}]` and `num_frames` int32 `[batch]`."
        )
    else:
        names = ["features"]
        video = 'example["features"][0]'
        inputs = (
            f"The input is `features` float32 `[batch, {schema.num_features}]`."
        )
    fields = {
        "artifact": row["path"],
        "class_names": CLASS_NAMES,
        "example": EXAMPLE,
        "inputs": inputs,
        "names": names,
        "num_classes": schema.num_classes,
        "video": video,
    }
    text = _USAGE.format(**fields)
    if runtime := _RUNTIMES.get(row["format"]):
        run = runtime["run"].format(**fields)
        text += _PLAIN_USAGE.format(**runtime | fields | {"run": run})
    return text


def _config(
    card: dict[str, Any], row: dict[str, Any], interface: VideoInterface
) -> dict[str, Any]:
    return {
        "library_name": "distill",
        "architectures": [card["network"]["model"]],
        "artifact": row["path"],
        "precision": row["precision"],
        "id2label": dict(enumerate(interface.class_names)),
    } | interface.to_json()
