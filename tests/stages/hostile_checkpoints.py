"""Hostile checkpoints, by name: how each is made, and why it is refused.

Each case is a function that spoils an open HDF5 file, and a part of the error.
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
SECOND_NAME = "is a second name of another object"
LINK = f"{KERNEL} is a link to another place or file"
NOT_CONTIGUOUS = f"{KERNEL} must be stored in one piece, in this file"
NO_NUMBERS = f"{KERNEL} holds no plain numbers"
A_LIST = "cannot be read: it is no JSON object, but a list"
NOT_FINITE = "holds a value that is NaN or infinite"
NOT_WHOLE = "no whole HDF5 file"
NO_CHECKPOINT = "no checkpoint of this toolkit"
NOT_FIXED = "is no text of fixed length"
SIZES = "its model needs|no student can be built from its settings"

Spoil = Callable[[h5py.File], Any]
Cases = dict[str, tuple[Spoil, str]]


def replace_by(value: Any, name: str = KERNEL) -> Spoil:
    """Puts a link, a type or an array in the place of a dataset or a group."""

    def spoil(file):
        del file[name]
        file[name] = value

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


def make_many(file):
    """Adds more names than any network has."""
    group = file.create_group("student/many")
    for index in range(20_001):
        group[str(index)] = h5py.SoftLink("/student")


def add_link(name: str, target: str) -> Spoil:
    """Gives an object a second name."""
    return lambda file: file.__setitem__(name, file[target])


def set_attribute(name: str, value: Any, place: str = "/") -> Spoil:
    """Changes an attribute; None removes it."""

    def spoil(file):
        file[place].attrs.pop(name, None)
        if value is not None:
            file[place].attrs[name] = value

    return spoil


def set_text(name: str, text: str) -> Spoil:
    """Changes an attribute to a text of fixed length."""
    return set_attribute(name, np.bytes_(text))


def change(name: str, path: str, value: Any) -> Spoil:
    """Changes a field of the JSON in an attribute, by its dotted path."""

    def spoil(file):
        fields = json.loads(file.attrs[name])
        *parents, last = path.split(".")
        inner = fields
        for parent in parents:
            inner = inner[parent]
        inner[last] = value
        set_text(name, json.dumps(fields))(file)

    return spoil


def changes(name: str, *cases: tuple[str, Any, str]) -> Cases:
    """Returns cases of a field of an attribute's JSON, a value, an error."""
    return {
        f"{path} {str(value)[:30]}": (change(name, path, value), message)
        for path, value, message in cases
    }


def repeat_key(file):
    """Names a field of the settings twice."""
    text = file.attrs["settings"].decode()
    set_text("settings", text.replace("{", '{"data": 1,', 1))(file)


def drop_field(file):
    """Removes a field that every run has."""
    fields = json.loads(file.attrs["settings"])
    del fields["training"]["train_data_pattern"]
    set_text("settings", json.dumps(fields))(file)


def replace_kernel_by_group(file):
    """Puts a group in the kernel's place."""
    del file[KERNEL]
    file.create_group(KERNEL)


STRUCTURES: Cases = {
    "soft link": (replace_by(h5py.SoftLink(f"/{BIAS}")), LINK),
    "external link": (replace_by(h5py.ExternalLink("other.h5", KERNEL)), LINK),
    "external link for a group": (
        replace_by(h5py.ExternalLink("o.h5", "/"), "student"),
        "student is a link to another place or file",
    ),
    "second hard link": (add_link("student/second", BIAS), SECOND_NAME),
    "cycle of hard links": (add_link("student/loop", "/"), SECOND_NAME),
    "virtual dataset": (make_virtual, NOT_CONTIGUOUS),
    "external storage": (
        replace_dataset(
            shape=(16, 10), dtype="f4", external=[("/etc/passwd", 0, 640)]
        ),
        NOT_CONTIGUOUS,
    ),
    "chunks of 10^12 values": (
        replace_dataset(shape=(10**12,), dtype="f4", chunks=(10**6,)),
        NOT_CONTIGUOUS,
    ),
    "compressed zeros": (
        replace_dataset(data=np.zeros(10**6, "f4"), compression="gzip"),
        NOT_CONTIGUOUS,
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
    "booleans": (replace_dataset(data=np.ones((16, 10), bool)), NO_NUMBERS),
    "lists of any length": (
        replace_dataset(shape=(3,), dtype=h5py.vlen_dtype(np.float32)),
        NO_NUMBERS,
    ),
    **{
        f"attribute of {name}": (
            set_attribute("note", "x", name),
            f"{name} has attributes",
        )
        for name in ("student", KERNEL)
    },
    "no shape": (replace_dataset(data=h5py.Empty("f4")), "has no shape"),
    "a type": (replace_by(np.dtype("f4")), "is neither a group nor a dataset"),
    "dataset for a group": (
        replace_by(np.zeros(3, "f4"), "student"),
        "student is a dataset, not a group",
    ),
    "name with a line's end": (
        lambda file: file.create_group("student/a\nb"),
        r"holds the name 'a\\nb'",
    ),
    "deep groups": (
        lambda file: file.create_group("student/" + "a/" * 40),
        "its groups lie deeper than 32",
    ),
    "many names": (make_many, "it holds more than 20,000 objects"),
    "attribute of the file": (set_attribute("note", 1), "more than 3 attribut"),
    "other format": (set_text("format", "distill-checkpoint-9"), NO_CHECKPOINT),
    "format a number": (set_attribute("format", 1), f"'format' {NOT_FIXED}"),
    "format of variable length": (
        set_attribute("format", "distill-checkpoint-1"),
        f"'format' {NOT_FIXED}",
    ),
    "no settings": (set_attribute("settings", None), "'settings' is missing"),
    "settings an array": (
        set_attribute("settings", np.array([b"{}", b"{}"])),
        f"'settings' {NOT_FIXED}",
    ),
    "settings of 64,001 bytes": (
        set_text("settings", "1" * 64_001),
        "'settings' has 64,001 bytes, more than 64,000",
    ),
    "settings no UTF-8": (
        set_attribute("settings", np.bytes_(b"{\xff}")),
        "it is damaged .*codec can't decode",
    ),
    "settings no JSON": (set_text("settings", "os()"), "read: it is no JSON"),
    "settings a list": (set_text("settings", "[1]"), f"settings {A_LIST}"),
    "settings nested deep": (
        set_text("settings", '{"a":' * 12_000),
        "its settings cannot be read: it is nested too deep",
    ),
    "settings with a key twice": (repeat_key, "it holds the key 'data' twice"),
    "settings without a field": (drop_field, "train_data_pattern is missing"),
} | changes(
    "settings",
    ("training.mixup", np.nan, "holds the value NaN, which is no number of JS"),
    ("training.mixup", 10**400, "mixup must be a finite number, got 1"),
    ("training.run", "rm -rf", "unknown field 'training.run'"),
    ("data.num_classes", True, "num_classes must be a whole number, got True"),
    ("data.num_classes", -3, "num_classes must be 1 or more, got -3"),
)

PROGRESSES: Cases = {
    "no progress": (set_attribute("progress", None), "'progress' is missing"),
    "progress a list": (set_text("progress", "[]"), f"progress {A_LIST}"),
    "no step": (set_text("progress", '{"epoch": 1}'), "field step is missing"),
} | changes(
    "progress",
    ("step", -1, "step must be from 0 to 9007199254740992, got -1"),
    ("positions", [3, 10**30], "position 1 must be from 0 to 90.*, got 10000"),
    ("step", 0.5, "step must be a whole number, got 0.5"),
    ("loops", 3, "unknown field 'loops'"),
)

VALUES: Cases = {
    "NaN": (set_value(np.nan), f"{KERNEL} {NOT_FINITE}"),
    "minus infinity": (set_value(-np.inf, BIAS), f"{BIAS} {NOT_FINITE}"),
}

MISFITS: Cases = {
    "group for a dataset": (
        replace_kernel_by_group,
        "student lacks classifier/kernel, which its model has",
    ),
    "integers for floats": (
        replace_by(np.ones((16, 10), np.int64)),
        f"{KERNEL} holds int64 numbers, the model needs float32",
    ),
    "another shape": (
        replace_by(np.ones((10, 16), np.float32)),
        r"kernel has the shape \(10, 16\), its model needs \(16, 10\)",
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
} | changes(
    "settings",
    ("data.num_classes", 10**12, SIZES),
    ("data.feature_sizes", [10**30, 4], SIZES),
    ("data.max_frames", 10**9, "max_frames must be at most 100000, got 1000"),
    ("student.model", "os.system", "Unknown model 'os.system'"),
    ("student.model", "LstmModel", "LstmModel reads frame-level data"),
    ("student.arguments.factory", "os:system", "Unknown model argument 'facto"),
    ("student.arguments.logistic_l2", "1", "must be of the type float, got"),
    ("student.arguments", {"moe_num_mixtures": 10**9}, "not fit 170 weight"),
    ("student.encoder_sizes", "1000000000", "its model (has|needs)"),
    ("student.encoder_sizes", "8," * 499 + "8", "more layers than there are"),
)


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


def make_user_block(path: Path) -> None:
    """Makes an HDF5 file behind a block that belongs to nobody."""
    with h5py.File(path, "w", userblock_size=512) as file:
        set_text("format", "distill-checkpoint-1")(file)


def make_large_text(path: Path) -> None:
    """Makes a file of a newer format, whose attributes have no limit."""
    with h5py.File(path, "w", libver="latest") as file:
        set_text("format", "1" * 1_500_000)(file)


def make_damaged_heap(path: Path) -> None:
    """Makes a text of variable length in a heap of endless empty objects.

    Reading it with the HDF5 library never ends.
    """
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "distill-checkpoint-1"
    contents = path.read_bytes()
    first = contents.index(b"GCOL") + 16
    path.write_bytes(contents[:first] + bytes(64) + contents[first + 64 :])


FILES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "nothing": (lambda path: None, "There is no checkpoint"),
    "empty file": (lambda path: path.touch(), NOT_WHOLE),
    **{
        name: (lambda path, b=content: path.write_bytes(b), NOT_WHOLE)
        for name, content in (
            ("pickle", b"\x80\x04cos\nsystem\n."),
            ("HDF5's first bytes", b"\x89HDF\r\n\x1a\n" + bytes(200)),
        )
    },
    "directory": (lambda path: path.mkdir(), "is no checkpoint: it is no file"),
    "pipe": (os.mkfifo, "is no checkpoint: it is no file"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "it is no file"),
    "link to itself": (lambda path: path.symlink_to(path.name), "no checkp"),
    "other HDF5": (lambda path: h5py.File(path, "w").close(), NO_CHECKPOINT),
    "user block": (make_user_block, "it begins with a user block"),
    "text of 1.5 MB": (make_large_text, "has 1,500,000 bytes, more than 64,0"),
    "damaged heap": (make_damaged_heap, f"'format' {NOT_FIXED}"),
}
