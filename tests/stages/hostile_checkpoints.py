"""What may be done to a checkpoint, and the words that refuse it.

Each case is a function that spoils an open HDF5 file, and what the error says.
The checkpoint is that of a student alone with the weights
`classifier/kernel` `[16, 10]` and `classifier/bias` `[10]`.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

KERNEL = "student/classifier/kernel"
BIAS = "student/classifier/bias"
NOT_AS_WRITTEN = f"{KERNEL} is not stored as it is written here"
NO_NUMBERS = f"{KERNEL} holds no plain numbers"

Spoil = Callable[[h5py.File], None]


def replace_by(make: Callable[[h5py.File], Any], name: str = KERNEL) -> Spoil:
    """Puts what `make` returns in the place of a dataset or a group."""

    def spoil(file):
        del file[name]
        file[name] = make(file)

    return spoil


def replace_dataset(**options: Any) -> Spoil:
    """Puts another dataset in the kernel's place."""

    def spoil(file):
        del file[KERNEL]
        file.create_dataset(KERNEL, **options)

    return spoil


def make_virtual(file):
    """Puts a virtual dataset over another file's in the kernel's place."""
    layout = h5py.VirtualLayout((16, 10), "f4")
    layout[:] = h5py.VirtualSource("other.h5", KERNEL, (16, 10))
    del file[KERNEL]
    file.create_virtual_dataset(KERNEL, layout)


def set_value(value: float, name: str = KERNEL) -> Spoil:
    """Changes one weight."""

    def spoil(file):
        values = file[name][()]
        values.flat[3] = value
        file[name][...] = values

    return spoil


def make_deep(file):
    """Nests groups."""
    file.create_group("student/" + "a/" * 40)


def make_many(file):
    """Adds more names than any network has."""
    group = file.create_group("student/many")
    for index in range(20_001):
        group[str(index)] = h5py.SoftLink("/student")


def add_hidden_bytes(file):
    """Adds what no variable is made of."""
    file["student"].attrs["note"] = "x" * 6_000_000


def set_attribute(name: str, value: Any) -> Spoil:
    """Changes an attribute; None removes it."""

    def spoil(file):
        del file.attrs[name]
        if value is not None:
            file.attrs[name] = value

    return spoil


def change(name: str, path: str, value: Any) -> Spoil:
    """Changes a field of the JSON in an attribute, by its dotted path."""

    def spoil(file):
        fields = json.loads(file.attrs[name])
        *parents, last = path.split(".")
        inner = fields
        for parent in parents:
            inner = inner[parent]
        inner[last] = value
        file.attrs[name] = json.dumps(fields)

    return spoil


def repeat_key(file):
    """Names a field of the settings twice."""
    text = file.attrs["settings"]
    file.attrs["settings"] = text.replace("{", '{"data": 1,', 1)


def drop_field(file):
    """Removes a field that every run has."""
    fields = json.loads(file.attrs["settings"])
    del fields["training"]["train_data_pattern"]
    file.attrs["settings"] = json.dumps(fields)


STRUCTURES: dict[str, tuple[Spoil, str]] = {
    "soft link": (
        replace_by(lambda file: h5py.SoftLink(f"/{BIAS}")),
        f"{KERNEL} is a link to another place or file",
    ),
    "link to nothing": (
        replace_by(lambda file: h5py.SoftLink("/nowhere")),
        f"{KERNEL} is a link to another place or file",
    ),
    "external link": (
        replace_by(lambda file: h5py.ExternalLink("other.h5", KERNEL)),
        f"{KERNEL} is a link to another place or file",
    ),
    "external link for a group": (
        replace_by(lambda file: h5py.ExternalLink("o.h5", "/"), "student"),
        "student is a link to another place or file",
    ),
    "second hard link": (
        replace_by(lambda file: file[BIAS]),
        "is a second name of another object",
    ),
    "cycle of hard links": (
        lambda file: file["student"].__setitem__("loop", file["/"]),
        "student/loop is a second name of another object",
    ),
    "virtual dataset": (make_virtual, NOT_AS_WRITTEN),
    "external storage": (
        replace_dataset(
            shape=(16, 10), dtype="f4", external=[("/etc/passwd", 0, 640)]
        ),
        NOT_AS_WRITTEN,
    ),
    "chunks of 10^12 values": (
        replace_dataset(shape=(10**12,), dtype="f4", chunks=(10**6,)),
        NOT_AS_WRITTEN,
    ),
    "compressed zeros": (
        replace_dataset(data=np.zeros(10**6, "f4"), compression="gzip"),
        NOT_AS_WRITTEN,
    ),
    "checksummed": (
        replace_dataset(data=np.zeros((16, 10), "f4"), fletcher32=True),
        NOT_AS_WRITTEN,
    ),
    "10^12 values that are not there": (
        replace_dataset(shape=(10**12,), dtype="f4"),
        "but its values are not in the file",
    ),
    "compound": (
        replace_dataset(data=np.zeros(3, [("a", "f4"), ("b", "i4")])),
        NO_NUMBERS,
    ),
    "texts": (replace_dataset(data=["cos\nsystem"] * 10), NO_NUMBERS),
    "bytes": (replace_dataset(data=np.array([b"cposix"])), NO_NUMBERS),
    "opaque": (replace_dataset(data=np.void(b"\x80\x04.")), NO_NUMBERS),
    "booleans": (replace_dataset(data=np.ones((16, 10), bool)), NO_NUMBERS),
    "complex": (replace_dataset(data=np.ones((16, 10), "c8")), NO_NUMBERS),
    "lists of any length": (
        replace_dataset(shape=(3,), dtype=h5py.vlen_dtype(np.float32)),
        NO_NUMBERS,
    ),
    "references": (
        replace_dataset(shape=(3,), dtype=h5py.ref_dtype),
        NO_NUMBERS,
    ),
    "no shape": (
        replace_dataset(data=h5py.Empty("f4")),
        f"{KERNEL} has no shape",
    ),
    "a type": (
        replace_by(lambda file: np.dtype("f4")),
        f"{KERNEL} is neither a group nor a dataset",
    ),
    "dataset for a group": (
        replace_by(lambda file: np.zeros(3, "f4"), "student"),
        "student is a dataset, not a group",
    ),
    "name with a line's end": (
        lambda file: file.create_group("student/a\nb"),
        r"holds the name 'a\\nb'",
    ),
    "deep groups": (make_deep, "its groups lie deeper than 32"),
    "many names": (make_many, "it holds more than 20,000 objects"),
    "bytes beside the weights": (
        add_hidden_bytes,
        "bytes beside its variables",
    ),
    "other format": (
        set_attribute("format", "distill-checkpoint-9"),
        "no checkpoint of this toolkit",
    ),
    "format a number": (
        set_attribute("format", 1),
        "its attribute 'format' is no text",
    ),
    "no settings": (
        set_attribute("settings", None),
        "its attribute 'settings' is missing",
    ),
    "settings a number": (
        set_attribute("settings", 7),
        "its attribute 'settings' is no text",
    ),
    "settings an array": (
        set_attribute("settings", ["{}", "{}"]),
        "it is damaged where its texts lie, or one is too long",
    ),
    "settings of 1.5 MB": (
        set_attribute("settings", "1" * 1_500_000),
        "'settings' has 1,500,000 characters, more than 1,000,000",
    ),
    "settings no JSON": (
        set_attribute("settings", "__import__('os')"),
        "its settings cannot be read: it is no JSON",
    ),
    "settings a list": (
        set_attribute("settings", "[1]"),
        "its settings cannot be read: it is no JSON object, but a list",
    ),
    "settings nested deep": (
        set_attribute("settings", '{"a":' * 100_000),
        "its settings cannot be read: it is nested too deep",
    ),
    "settings with NaN": (
        change("settings", "training.mixup", np.nan),
        "holds the value NaN, which is no number of JSON",
    ),
    "settings with a number beyond floats": (
        change("settings", "training.mixup", 10**400),
        "training.mixup must be a finite number, got 1000",
    ),
    "settings with a key twice": (
        repeat_key,
        "it holds the key 'data' twice",
    ),
    "settings with an unknown field": (
        change("settings", "training.run", "rm -rf"),
        "unknown field 'training.run'",
    ),
    "settings without a field": (
        drop_field,
        "the field training.train_data_pattern is missing",
    ),
    "text for a number": (
        change("settings", "training.batch_size", "16"),
        "training.batch_size must be a whole number, got '16'",
    ),
    "boolean for a number": (
        change("settings", "data.num_classes", True),
        "data.num_classes must be a whole number, got True",
    ),
    "number for a list": (
        change("settings", "data.feature_names", 3),
        "data.feature_names must be a list, got 3",
    ),
    "list for an object": (
        change("settings", "student", []),
        r"student must be an object, got \[\]",
    ),
    "negative classes": (
        change("settings", "data.num_classes", -3),
        "num_classes must be 1 or more, got -3",
    ),
}

PROGRESSES: dict[str, tuple[Spoil, str]] = {
    "no progress": (
        set_attribute("progress", None),
        "its attribute 'progress' is missing",
    ),
    "progress a list": (
        set_attribute("progress", "[]"),
        "its progress cannot be read: it is no JSON object, but a list",
    ),
    "negative step": (
        change("progress", "step", -1),
        "step must be from 0 to 9007199254740992, got -1",
    ),
    "absurd position": (
        change("progress", "positions", [3, 10**30]),
        "position 1 must be from 0 to 9007199254740992, got 10000",
    ),
    "half a step": (
        change("progress", "step", 0.5),
        "step must be a whole number, got 0.5",
    ),
    "unknown progress": (
        change("progress", "loops", 3),
        "unknown field 'loops'",
    ),
    "no step": (
        set_attribute("progress", '{"epoch": 1}'),
        "the field step is missing",
    ),
}

VALUES: dict[str, tuple[Spoil, str]] = {
    "NaN": (set_value(np.nan), f"{KERNEL} holds a value that is NaN or inf"),
    "infinity": (set_value(np.inf), f"{KERNEL} holds a value that is NaN or"),
    "minus infinity": (
        set_value(-np.inf, BIAS),
        f"{BIAS} holds a value that is NaN or infinite",
    ),
}

MISFITS: dict[str, tuple[Spoil, str]] = {
    "group for a dataset": (
        lambda file: (
            file.__delitem__(KERNEL),
            file.create_group(KERNEL),
        ),
        "student lacks classifier/kernel, which its model has",
    ),
    "integers for floats": (
        replace_by(lambda file: np.ones((16, 10), np.int64)),
        f"{KERNEL} holds int64 numbers, the model needs float32",
    ),
    "another shape": (
        replace_by(lambda file: np.ones((10, 16), np.float32)),
        r"kernel has the shape \(10, 16\), its model needs \(16, 10\)",
    ),
    "another number of dimensions": (
        replace_by(lambda file: np.ones(160, np.float32)),
        r"kernel has the shape \(160,\), its model needs \(16, 10\)",
    ),
    "a variable too many": (
        lambda file: file.create_dataset("student/extra", data=[1.0]),
        "student holds extra, its model does not",
    ),
    "a variable too few": (
        lambda file: file.__delitem__(BIAS),
        "student lacks classifier/bias, which its model has",
    ),
    "no group": (
        lambda file: file.move("student", "teacher"),
        "holds no student; it holds .*, 'teacher'",
    ),
    "10^12 classes": (
        change("settings", "data.num_classes", 10**12),
        "its model needs|settings make no student",
    ),
    "features of 10^15 values": (
        change("settings", "data.feature_sizes", [10**15, 4]),
        "its model needs|settings make no student",
    ),
    "features of 10^30 values": (
        change("settings", "data.feature_sizes", [10**30, 4]),
        "settings make no student",
    ),
    "10^9 frames": (
        change("settings", "data.max_frames", 10**9),
        "max_frames must be at most 100000, got 1000000000",
    ),
    "unknown model": (
        change("settings", "student.model", "os.system"),
        "Unknown model 'os.system'",
    ),
    "unknown argument": (
        change("settings", "student.arguments", {"factory": "os:system"}),
        "Unknown model argument 'factory'",
    ),
    "argument of another type": (
        change("settings", "student.arguments", {"logistic_l2": "1"}),
        "logistic_l2 must be of the type float, got '1'",
    ),
    "10^9 mixtures": (
        change("settings", "student.arguments", {"moe_num_mixtures": 10**9}),
        "moe_num_mixtures=1000000000 is more than 170 weights can be of",
    ),
    "encoder of 10^9 values": (
        change("settings", "student.encoder_sizes", "1000000000"),
        "which its model has|its model needs",
    ),
    "encoder of 500 layers": (
        change("settings", "student.encoder_sizes", "8," * 499 + "8"),
        "encoder_sizes makes more layers than there are variables, 2",
    ),
    "model of the other level": (
        change("settings", "student.model", "LstmModel"),
        "LstmModel reads frame-level data",
    ),
}


def damage_bytes(contents: bytes, random: np.random.Generator) -> bytes:
    """Changes a few bytes of a file: bits, whole words, or pieces copied."""
    changed = bytearray(contents)
    words = (bytes(8), b"\xff" * 8, b"\0" * 7 + b"\x40", b"\0\0\0\x80")
    for _ in range(random.choice([1, 1, 2, 8])):
        place, other = random.integers(len(contents), size=2).tolist()
        kind = random.integers(3)
        if kind == 0:
            changed[place] ^= 1 << int(random.integers(8))
            continue
        word = words[random.integers(len(words))]
        if kind == 1:
            word = contents[other : other + int(random.integers(1, 64))]
        changed[place : place + len(word)] = word
    return bytes(changed[: len(contents)])


def make_fifo(path: Path) -> None:
    """Makes a pipe into which nobody writes."""
    os.mkfifo(path)


def make_link_loop(path: Path) -> None:
    """Makes a link to itself."""
    path.symlink_to(path.name)


def make_device_link(path: Path) -> None:
    """Makes a link to a file without an end."""
    path.symlink_to("/dev/zero")


def make_user_block(path: Path) -> None:
    """Makes an HDF5 file behind a block that belongs to nobody."""
    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_group("student")


FILES: dict[str, tuple[Callable[[Path], None], str]] = {
    "nothing": (lambda path: None, "There is no checkpoint"),
    "empty file": (lambda path: path.touch(), "no whole HDF5 file"),
    "pickle": (
        lambda path: path.write_bytes(b"\x80\x04cos\nsystem\n."),
        "no whole HDF5 file",
    ),
    "HDF5's first bytes": (
        lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(200)),
        "no whole HDF5 file",
    ),
    "directory": (lambda path: path.mkdir(), "is no checkpoint: it is no file"),
    "pipe": (make_fifo, "is no checkpoint: it is no file"),
    "device": (make_device_link, "is no checkpoint: it is no file"),
    "link to itself": (make_link_loop, "no checkpoint"),
    "user block": (make_user_block, "it begins with a user block"),
}
