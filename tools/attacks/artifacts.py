"""Damaged and hostile artifacts: each predicts, or is refused in one line."""

import json
import multiprocessing
import random
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

from tools.attacks import artifact_damage as damage
from tools.attacks.artifact_trial import try_artifact
from tools.attacks.attempt import Attempt
from tools.drills.processes import Processes

_LAYOUT = "--feature_sizes=12,4 --num_classes=8 --max_frames=20"
_COMMANDS = (
    f"make_synthetic_data {_LAYOUT} --output_dir={{0}}/data --num_shards=1 "
    "--num_train_videos=16 --num_validate_videos=16",
    f"train {_LAYOUT} --regime=labels --train_dir={{0}}/run --gpu=-1 "
    "--train_data_pattern={0}/data/train-*.tfrecord --batch_size=16 "
    "--num_epochs=1 --student_model=PooledNetworkModel "
    "--student_hidden_sizes=6 --every_n=4",
    "export --train_dir={0}/run --gpu=-1 --export_dir={0}/export "
    "--eval_data_pattern={0}/data/validate-*.tfrecord --precisions=float32",
)
_MOST_SECONDS = 60
_VARIABLES = "saved_model/variables/variables"
_SHARED = ("card.json", "class_names.csv")
# By target: the artifact that is loaded, and what may be done to which file.
_Deed = tuple[damage.FileDamage, str]
_TARGETS: dict[str, tuple[str, tuple[_Deed, ...]]] = {
    "SavedModel": (
        "saved_model",
        (
            (damage.damage_bytes, "saved_model/saved_model.pb"),
            (damage.change_graph, "saved_model/saved_model.pb"),
            (damage.change_graph, "saved_model/saved_model.pb"),
            (damage.damage_bytes, f"{_VARIABLES}.index"),
            (damage.damage_bytes, f"{_VARIABLES}.data-00000-of-00001"),
        ),
    ),
    ".keras": (
        "model.keras",
        (
            (damage.damage_bytes, "model.keras"),
            (damage.change_keras, "model.keras"),
            (damage.change_keras, "model.keras"),
        ),
    ),
    "ONNX": ("model.onnx", ((damage.damage_bytes, "model.onnx"),)),
    "LiteRT": ("model.tflite", ((damage.damage_bytes, "model.tflite"),)),
    "card": (
        "model.onnx",
        (
            (damage.damage_bytes, "card.json"),
            (damage.damage_json, "card.json"),
            (damage.damage_bytes, "class_names.csv"),
        ),
    ),
    "archive": ("model.tgz", ((damage.change_archive, "model.tgz"),)),
}


def attack(
    work_dir: Path, num_tries: int, rng: random.Random
) -> Iterator[Attempt]:
    """Damages an export's files and predicts a video with each.

    Every second try takes the digests from the card, so that the damage goes
    on to the checks of the formats; with them no damage may pass unnoticed.
    """
    processes = Processes()
    for command in _COMMANDS:
        words = command.format(work_dir).split()
        output = work_dir / f"{words[0]}.txt"
        process = processes.start(words, output)
        process.join()
        if process.exitcode:
            raise RuntimeError(f"{words[0]} failed: {output.read_text()}")
    export = work_dir / "export"
    _pack(export)
    names = list(_TARGETS)
    for number in range(num_tries):
        target = names[number % len(names)]
        folder = work_dir / "try" / f"{number}"
        has_digests = number // len(names) % 2 == 0
        yield _try(export, folder, target, has_digests, rng)


def _pack(export: Path) -> None:
    with tarfile.open(export / "model.tgz", "w:gz") as archive:
        for name in (*_SHARED, "model.onnx"):
            archive.add(export / name, name)


def _try(
    export: Path,
    folder: Path,
    target: str,
    has_digests: bool,
    rng: random.Random,
) -> Attempt:
    artifact, deeds = _TARGETS[target]
    (folder / "temporary").mkdir(parents=True)
    for name in {*_SHARED, artifact}:
        copy = shutil.copytree if (export / name).is_dir() else shutil.copy
        copy(export / name, folder / name)
    if not has_digests:
        _drop_digests(folder / "card.json")
    deed, file = rng.choice(deeds)
    before = (folder / file).read_bytes()
    done = deed(folder / file, rng)
    changed = (folder / file).read_bytes() != before
    must_notice = has_digests and changed and file.startswith(artifact)
    files = _list_files(folder.parents[1])
    outcome = _run(folder / artifact, export / "example.npz")
    new = sorted(_list_files(folder.parents[1]) - files)
    problem = ""
    if outcome.startswith("fault: "):
        problem = outcome.removeprefix("fault: ")
    elif new:
        problem = f"wrote {new[0]}"
    elif must_notice and outcome == "predicted":
        problem = "the damage was not noticed"
    if not problem:
        shutil.rmtree(folder)
    return Attempt(
        target, f"{done}{'' if has_digests else ', no digest'}", problem
    )


def _drop_digests(card: Path) -> None:
    fields = json.loads(card.read_text())
    for row in fields["artifacts"]:
        row.pop("sha256", None)
    card.write_text(json.dumps(fields))


def _list_files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def _run(artifact: Path, video: Path) -> str:
    """Returns what came of an artifact in a process of its own."""
    context = multiprocessing.get_context("forkserver")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(
        target=try_artifact, args=(str(artifact), str(video), sender)
    )
    process.start()
    sender.close()
    process.join(_MOST_SECONDS)
    if process.is_alive():
        process.kill()
        process.join()
        return f"fault: it ran for over {_MOST_SECONDS} seconds"
    try:
        return receiver.recv()
    except EOFError:
        return f"fault: it ended with status {process.exitcode}"
