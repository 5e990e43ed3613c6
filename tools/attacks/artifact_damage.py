"""Damage to the files of an export, drawn at random."""

import random
import tarfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tools.attacks.damage import BYTES, JSON, Damage, change_value

# Changes a file; returns what was done.
FileDamage = Callable[[Path, random.Random], str]
_OPERATIONS = ("WriteFile", "ReadFile", "PyFunc", "PrintV2", "Fill", "While")


def damage_with(damages: Sequence[Damage]) -> FileDamage:
    """Returns a function that damages a file by one of several damages."""

    def damage(path: Path, rng: random.Random) -> str:
        """Damages a file; returns what was done."""
        chosen = rng.choice(damages)
        path.write_bytes(chosen(path.read_bytes(), rng))
        return f"{chosen.__name__} of {path.name}"

    return damage


damage_bytes, damage_json = damage_with(BYTES), damage_with(JSON)


def change_keras(path: Path, rng: random.Random) -> str:
    """Changes the configuration, or the members, of a `.keras` file."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    deed = rng.choice(("value", "swap", "more", "less", "weights", "compress"))
    kind = zipfile.ZIP_STORED
    names = sorted(members)
    if deed == "value":
        config = members["config.json"]
        members["config.json"] = change_value(config, rng)
    elif deed == "swap":
        one, other = rng.sample(names, 2)
        members[one], members[other] = members[other], members[one]
    elif deed == "more":
        members["../outside"] = b"x"
    elif deed == "less":
        del members[rng.choice(names)]
    elif deed == "weights":
        weights = members["model.weights.h5"]
        members["model.weights.h5"] = rng.choice(BYTES)(weights, rng)
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
