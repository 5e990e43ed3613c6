"""A `.keras` file: our own classes, of no more than the weights beside them.

Keras imports and builds what the file's configuration names, in any size and
number. Here a configuration of our own classes is first built in a graph,
which allocates no weights, and compared with the shapes in the file.
"""

import collections
import io
import math
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import h5py

from distill.checkpoints.file_checks import UnsafeHdf5Error, check_objects
from distill.deployment.artifact_checks.refusal import RefusedError
from distill.system.small_files import MOST_BYTES, parse_json_object

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"
_MEMBERS = {_CONFIG, _WEIGHTS, "metadata.json"}
_OWN = "distill.models"
# What comes before the name of a member, in the format of zip archives.
_HEAD, _HEAD_BYTES = b"PK\x03\x04", 30
_MOST_DEPTH = 64
_MOST_ITEMS = 5_000
# Small models have sizes, such as frames, above their number of weights.
_LEAST_LIMIT = 100_000

_Shapes = collections.Counter[tuple[int, ...]]


def check_keras(path: Path) -> None:
    """Checks a `.keras` file; allocates no memory for its weights.

    Raises:
      RefusedError: It holds what exports do not.
      Exception: One of the libraries' own: it is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(archive, path.stat().st_size)
            config = parse_json_object(archive.read(_CONFIG).decode("utf-8"))
            with path.open("rb") as file:
                weights = _StoredMember(file, archive.getinfo(_WEIGHTS))
                stored = _stored_shapes(weights)
    except zipfile.BadZipFile as error:
        raise RefusedError(f"it is no zip archive, or damaged ({error})") from (
            error
        )
    _check_config(config, stored)
    expected = _expected_shapes(config)
    if stored != expected:
        shapes = [*(expected - stored), *(stored - expected)]
        raise RefusedError(
            "its weights are not those of its configuration: of the shape "
            f"{shapes[0]} one of them has {expected[shapes[0]]}, the file "
            f"{stored[shapes[0]]}"
        )


class _StoredMember(io.RawIOBase):
    """An uncompressed member of an archive.

    The zipfile module reads all that lies between two places.
    """

    def __init__(self, file: IO[bytes], member: zipfile.ZipInfo):
        super().__init__()
        file.seek(member.header_offset)
        head = file.read(_HEAD_BYTES)
        if not head.startswith(_HEAD):
            raise zipfile.BadZipFile(f"no {member.filename}")
        # The head ends with the lengths of a name and of an extra field.
        self._start = file.tell() + sum(struct.unpack("<HH", head[-4:]))
        self._file = file
        self._size = member.file_size
        self._place = 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place}
        self._place = base.get(whence, self._size) + offset
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: Any) -> int:
        count = max(min(len(buffer), self._size - self._place), 0)
        self._file.seek(self._start + self._place)
        contents = self._file.read(count)
        buffer[: len(contents)] = contents
        self._place += len(contents)
        return len(contents)


def _check_members(archive: zipfile.ZipFile, size: int) -> None:
    """Checks names and sizes; Keras writes three members, uncompressed."""
    members = archive.infolist()
    for member in members:
        if member.filename not in _MEMBERS:
            raise RefusedError(f"it holds the member {member.filename!a:.60}")
        if member.compress_type != zipfile.ZIP_STORED:
            raise RefusedError(f"its member {member.filename} is compressed")
    names = {member.filename for member in members}
    if len(members) != len(_MEMBERS) or names != _MEMBERS:
        raise RefusedError(
            f"its members must be {', '.join(sorted(_MEMBERS))}, each once"
        )
    if sum(member.file_size for member in members) > size:
        raise RefusedError("its members lie over one another")
    if archive.getinfo(_CONFIG).file_size > MOST_BYTES:
        raise RefusedError(f"its {_CONFIG} is larger than {MOST_BYTES:,} bytes")


def _stored_shapes(weights: io.RawIOBase) -> _Shapes:
    """Returns how many datasets of each shape a file of weights holds."""
    size = weights.seek(0, 2)
    shapes: _Shapes = collections.Counter()

    def count(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            shapes[item.shape] += 1

    with h5py.File(weights, "r") as file:
        try:
            # Keras gives the groups of variables their layers' names.
            check_objects(file, size, group_attributes=("name",))
        except UnsafeHdf5Error as error:
            raise RefusedError(f"its {_WEIGHTS}: {error}") from error
        file.visititems(count)
    return shapes


def _check_config(config: dict[str, Any], stored: _Shapes) -> None:
    """Checks classes and sizes of a configuration before it is built."""
    num_weights = stored.total()
    num_values = sum(math.prod(s) * number for s, number in stored.items())
    most = max(num_values, _LEAST_LIMIT)
    for count, (key, value) in enumerate(_walk(config)):
        if count > _MOST_ITEMS:
            raise RefusedError(f"its {_CONFIG} has over {_MOST_ITEMS:,} items")
        if isinstance(value, dict) and "class_name" in value:
            _check_class(value)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        # Objects are told apart by their addresses.
        number = number and key != "shared_object_id"
        if number and abs(value) > most:
            raise RefusedError(
                f"{key[:60]}={value:.6g} does not fit {num_values:,} weight "
                "values"
            )
        # Layers are counted by a size, or listed.
        layers = str(value).count(",") if isinstance(value, str) else 0
        if number and key.endswith("_layers"):
            layers = value
        if layers > num_weights:
            raise RefusedError(
                f"{key[:60]} asks for more layers than there are weights, "
                f"{num_weights}"
            )


def _walk(config: Any) -> Iterator[tuple[str, Any]]:
    """Yields the values of a configuration, with the keys that hold them."""
    waiting = [("", config, 0)]
    while waiting:
        key, value, depth = waiting.pop()
        if depth > _MOST_DEPTH:
            raise RefusedError(f"its {_CONFIG} is deeper than {_MOST_DEPTH}")
        yield key, value
        if isinstance(value, dict):
            waiting += [(k, v, depth + 1) for k, v in value.items()]
        elif isinstance(value, list):
            waiting += [(key, each, depth + 1) for each in value]


def _check_class(fields: dict[str, Any]) -> None:
    import keras

    import distill.models.saved_classes  # noqa: F401

    name, own = fields["class_name"], fields.get("registered_name")
    place = (fields.get("module"), name, own)
    if place == ("keras", "DTypePolicy", None):
        return
    if (
        own == f"{_OWN}>{name}"
        and keras.saving.get_registered_object(own) is not None
    ):
        return
    raise RefusedError(f"its {_CONFIG} names the class {place!a:.120}")


def _expected_shapes(config: dict[str, Any]) -> _Shapes:
    """Returns how many variables of each shape a configuration has."""
    import keras
    import tensorflow as tf

    with tf.Graph().as_default():
        model: Any = keras.saving.deserialize_keras_object(
            config, safe_mode=True
        )
        if not isinstance(model, keras.Model):
            raise RefusedError(f"its {_CONFIG} is that of no model")
        # Keras does not store the seeds of dropout, which `variables` holds.
        return collections.Counter(tuple(v.shape) for v in model.weights)
