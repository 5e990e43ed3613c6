"""Damage to the files of an export, drawn at random."""

import json
import random
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

# The largest of a block that is inserted, removed or copied.
_BLOCK = 64
_VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 10**12, 1e308, "", "x" * 5000, [], {}),
    *([[]], {"class_name": "Lambda"}, "../../outside", "1,1,1,1,1,1,1,1"),
)
_OPERATIONS = ("WriteFile", "ReadFile", "PyFunc", "PrintV2", "Fill", "While")


def flip_bytes(contents: bytes, rng: random.Random) -> bytes:
    """Changes one byte or some."""
    changed = bytearray(contents)
    for _ in range(rng.choice((1, 1, 4, 30))):
        changed[rng.randrange(len(changed))] ^= rng.randrange(1, 256)
    return bytes(changed)


def cut(contents: bytes, rng: random.Random) -> bytes:
    """Cuts the end off."""
    return contents[: rng.randrange(len(contents))]


def insert_block(contents: bytes, rng: random.Random) -> bytes:
    """Inserts bytes."""
    place = rng.randrange(len(contents))
    return contents[:place] + rng.randbytes(_BLOCK) + contents[place:]


def remove_block(contents: bytes, rng: random.Random) -> bytes:
    """Removes bytes."""
    place = rng.randrange(len(contents))
    return contents[:place] + contents[place + rng.randrange(1, _BLOCK) :]


def copy_block(contents: bytes, rng: random.Random) -> bytes:
    """Writes some bytes over others."""
    start, end = (rng.randrange(len(contents)) for _ in range(2))
    block = contents[start : start + rng.randrange(1, _BLOCK)]
    return contents[:end] + block + contents[end + len(block) :]


DAMAGE: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    *(flip_bytes, cut, insert_block, remove_block, copy_block),
)


def damage_bytes(path: Path, rng: random.Random) -> str:
    """Damages a file; returns what was done."""
    deed = rng.choice(DAMAGE)
    path.write_bytes(deed(path.read_bytes(), rng))
    return f"{deed.__name__} of {path.name}"


def change_json(path: Path, rng: random.Random) -> str:
    """Changes a value of a JSON file; returns what was done."""
    text, deed = _change_text(path.read_text(), rng)
    path.write_text(text)
    return f"{deed} of {path.name}"


def change_keras(path: Path, rng: random.Random) -> str:
    """Changes the configuration, or the members, of a `.keras` file."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    deed = rng.choice(("value", "swap", "more", "less", "weights", "compress"))
    kind = zipfile.ZIP_STORED
    names = sorted(members)
    if deed == "value":
        text, deed = _change_text(members["config.json"].decode(), rng)
        members["config.json"] = text.encode()
    elif deed == "swap":
        one, other = rng.sample(names, 2)
        members[one], members[other] = members[other], members[one]
    elif deed == "more":
        members["../outside"] = b"x"
    elif deed == "less":
        del members[rng.choice(names)]
    elif deed == "weights":
        weights = members["model.weights.h5"]
        members["model.weights.h5"] = rng.choice(DAMAGE)(weights, rng)
    else:
        kind = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, contents in members.items():
            archive.writestr(name, contents)
    return f"{deed} of {path.name}"


def change_graph(path: Path, rng: random.Random) -> str:
    """Changes an operation of a `saved_model.pb`, or a key of its maps."""
    from tensorflow.core.protobuf import saved_model_pb2

    held = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    meta = held.meta_graphs[0]
    deed = rng.choice(("operation", "input", "signature", "object", "function"))
    function = rng.choice(meta.graph_def.library.function)
    if deed == "operation":
        rng.choice(function.node_def).op = rng.choice(_OPERATIONS)
    elif deed == "input":
        node = rng.choice([n for n in function.node_def if n.input])
        node.input[0] = rng.choice(function.node_def).name + ":0"
    elif deed == "signature":
        del meta.signature_def[rng.choice(sorted(meta.signature_def))]
    elif deed == "object":
        del meta.object_graph_def.nodes[
            rng.randrange(len(meta.object_graph_def.nodes))
        ]
    else:
        meta.graph_def.library.function.remove(function)
    path.write_bytes(held.SerializeToString())
    return f"{deed} of {path.name}"


def change_archive(path: Path, rng: random.Random) -> str:
    """Adds a member to an archive that lies elsewhere, or damages it."""
    if rng.random() < 0.8:
        return damage_bytes(path, rng)
    outside = path.parent / "outside.txt"
    outside.write_text("x")
    with tarfile.open(path) as held:
        members = [(member, held.extractfile(member)) for member in held]
        with tarfile.open(path.with_suffix(".new"), "w:gz") as changed:
            for member, contents in members:
                changed.addfile(member, contents)
            changed.add(outside, "../../outside.txt")
    outside.unlink()
    path.with_suffix(".new").replace(path)
    return f"member outside of {path.name}"


def _change_text(text: str, rng: random.Random) -> tuple[str, str]:
    """Returns JSON with one value changed, and what was done."""
    held = json.loads(text)
    places: list[tuple[Any, Any]] = []
    waiting = [held]
    while waiting:
        item = waiting.pop()
        keys = item if isinstance(item, dict) else range(len(item))
        for key in keys:
            places.append((item, key))
            if isinstance(item[key], dict | list):
                waiting.append(item[key])
    item, key = rng.choice(places)
    value = rng.choice(_VALUES)
    item[key] = value
    return json.dumps(held), f"{key}={str(value)[:20]}"
