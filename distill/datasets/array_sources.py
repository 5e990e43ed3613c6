"""Videos as arrays in files of four kinds: NumPy, HDF5, Parquet, CSV.

Each source can be iterated several times and holds one video in memory.
"""

import contextlib
import dataclasses
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from distill.datasets.array_videos import ArrayVideo
from distill.datasets.manifest import (
    ID,
    LABELS,
    PATH,
    SPLIT,
    ManifestRow,
    read_manifest,
)
from distill.system.extras import import_extra
from distill.system.hdf5_files import DAMAGE_ERRORS, hdf5_reason, open_hdf5_file
from distill.system.named_reads import open_bytes
from distill.system.storage import join, local_copy, to_path

# Name of a single array that has none.
_UNNAMED = "frames"
_ARRAY_SUFFIXES = (".npy", ".npz")
_ROWS_AT_ONCE = 16
# No filter of HDF5 makes numbers smaller; a dataset of a false size would take
# all memory.
_MOST_COMPRESSION = 1_100
_SMALL_BYTES = 1_000_000


@dataclasses.dataclass(frozen=True)
class ArrayEntry:
    """A video of a source, before its arrays are read.

    Attributes:
      id: Its id.
      split: Its split; empty for none of its own.
      place: Where it lies, for errors.
      key: How the source finds it again.
    """

    id: str
    split: str
    place: str
    key: Any


class ArraySource:
    """The videos of a file or a folder; it can be pickled.

    Args:
      path: The file or folder.
      feature_names: The features that will be taken; empty for all.
    """

    def __init__(self, path: Path, feature_names: tuple[str, ...]):
        self.path = path
        self.feature_names = feature_names

    def __iter__(self) -> Iterator[ArrayVideo]:
        """Yields the videos; ValueError if one cannot be read."""
        return self.load(self.entries())

    def entries(self) -> Iterator[ArrayEntry]:
        """Yields the videos in their order, without their arrays."""
        raise NotImplementedError

    def load(self, entries: Iterable[ArrayEntry]) -> Iterator[ArrayVideo]:
        """Yields the videos of some entries, which are in their order."""
        raise NotImplementedError

    @property
    def _single(self) -> str:
        """Name of an array without one."""
        names = self.feature_names
        return names[0] if len(names) == 1 else _UNNAMED

    def _load(self, file: Path) -> dict[str, np.ndarray]:
        """Returns the arrays of an .npy or .npz file by name."""
        wanted = {*self.feature_names, LABELS}
        try:
            # NumPy itself would leave a damaged file open.
            with open_bytes(file) as opened:
                loaded = np.load(opened, allow_pickle=False)
                if isinstance(loaded, np.ndarray):
                    return {self._single: loaded}
                return {
                    name: loaded[name]
                    for name in loaded.files
                    if not self.feature_names or name in wanted
                }
        except (
            OSError,
            EOFError,
            ValueError,
            zipfile.BadZipFile,
            zlib.error,
        ) as error:
            raise ValueError(f"{file} cannot be read: {error}") from error


class ArrayFolder(ArraySource):
    """A folder of .npy and .npz files, one a video.

    The labels are the array `labels` of an .npz, or the name of the folder
    that a file lies in. The id is the path in the folder, without its suffix.
    """

    def entries(self) -> Iterator[ArrayEntry]:
        """Yields the videos in the order of their paths."""
        files = sorted(
            path
            for path in self.path.rglob("*")
            if path.suffix in _ARRAY_SUFFIXES
        )
        if not files:
            raise ValueError(f"{self.path} holds no .npy or .npz file.")
        for file in files:
            inside = file.relative_to(self.path)
            name = inside.with_suffix("").as_posix()
            yield ArrayEntry(name, "", str(file), inside.as_posix())

    def load(self, entries: Iterable[ArrayEntry]) -> Iterator[ArrayVideo]:
        """Yields the videos of some entries."""
        for entry in entries:
            file = self.path / entry.key
            features = self._load(file)
            labels: Any = features.pop(LABELS, None)
            if labels is None:
                folders = entry.key.split("/")[:-1]
                if len(folders) != 1:
                    raise ValueError(
                        f"{file} has no labels: store them in an .npz as "
                        f"{LABELS!r}, put the file in a folder of its class, "
                        f"{self.path}/CLASS/{file.name}, or write a CSV "
                        "manifest."
                    )
                labels = folders[0]
            yield ArrayVideo(entry.id, features, labels, place=entry.place)


@contextlib.contextmanager
def _named_damage(place: str | Path) -> Iterator[None]:
    """Turns errors of h5py into a ValueError that names the place."""
    try:
        yield
    except DAMAGE_ERRORS as error:
        raise ValueError(
            f"{place} cannot be read: {hdf5_reason(error)}."
        ) from error


def _values(item: Any) -> Any:
    """Returns the values of a dataset, if they can be in the file."""
    if not isinstance(item, h5py.Dataset):
        raise ValueError(f"{item.name} is no dataset")
    most = _MOST_COMPRESSION * item.id.get_storage_size()
    if item.nbytes > max(most, _SMALL_BYTES):
        raise ValueError(
            f"{item.name} would have {item.nbytes:,} bytes, more than the file "
            "can hold"
        )
    return item[()]


class Hdf5Source(ArraySource):
    """An HDF5 file with a dataset, or a group of datasets, a video.

    The labels are the attribute `labels` or, of a group, the dataset `labels`;
    the split is the attribute `split`.
    """

    def entries(self) -> Iterator[ArrayEntry]:
        """Yields the videos in the order of their names."""
        with self._open() as file:
            with _named_damage(self.path):
                names = list(file)
            for name in names:
                place = f"{self.path}, {name!r}"
                with _named_damage(place):
                    split = file[name].attrs.get(SPLIT, "")
                    if isinstance(split, bytes):
                        split = split.decode()
                yield ArrayEntry(name, split, place, name)

    def load(self, entries: Iterable[ArrayEntry]) -> Iterator[ArrayVideo]:
        """Yields the videos of some entries."""
        with self._open() as file:
            for entry in entries:
                with _named_damage(entry.place):
                    arrays, attributes = self._read(file[entry.key])
                labels = arrays.pop(LABELS, attributes.get(LABELS))
                if labels is None:
                    raise ValueError(
                        f"{entry.place} has no {LABELS!r}, an attribute or a "
                        "dataset of its group."
                    )
                yield ArrayVideo(
                    entry.id, arrays, labels, entry.split, entry.place
                )

    def _open(self) -> h5py.File:
        with _named_damage(self.path):
            return open_hdf5_file(self.path)

    def _read(self, item: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Returns the arrays and the attributes of a video."""
        attributes = dict(item.attrs)
        if isinstance(item, h5py.Dataset):
            return {self._single: _values(item)}, attributes
        wanted = {*self.feature_names, LABELS}
        arrays = {
            name: _values(dataset)
            for name, dataset in item.items()
            if not self.feature_names or name in wanted
        }
        return arrays, attributes


class ParquetSource(ArraySource):
    """A Parquet file with a row a video.

    Columns: `id`, `labels` (a number, a name or a list of them), a list of
    frames, each a list of numbers, for every feature, and perhaps `split`.
    """

    def entries(self) -> Iterator[ArrayEntry]:
        """Yields the videos in the order of the rows."""
        with self._open() as file:
            splits = [SPLIT] if SPLIT in file.schema_arrow.names else []
            number = 0
            for batch in file.iter_batches(columns=[ID, *splits]):
                rows = [batch.column(n).to_pylist() for n in (ID, *splits)]
                for video_id, *split in zip(*rows, strict=True):
                    place = f"{self.path}, row {number}"
                    if video_id is None:
                        raise ValueError(f"{place}: the id is null.")
                    place += f" ({video_id})"
                    own = split[0] if split else None
                    yield ArrayEntry(str(video_id), own or "", place, number)
                    number += 1

    def load(self, entries: Iterable[ArrayEntry]) -> Iterator[ArrayVideo]:
        """Yields the videos of some entries, in the order of the rows."""
        with self._open() as file:
            schema = file.schema_arrow
            names = self.feature_names or tuple(
                name
                for name in schema.names
                if name != LABELS and _is_list_of_lists(schema.field(name))
            )
            batches = file.iter_batches(_ROWS_AT_ONCE, columns=[LABELS, *names])
            batch, first, end = None, 0, 0
            for entry in entries:
                while entry.key >= end:
                    batch, first = next(batches), end
                    end += batch.num_rows
                yield _read_row(batch, entry.key - first, names, entry)

    @contextlib.contextmanager
    def _open(self) -> Iterator[Any]:
        """Gives the file, which has the columns that are needed."""
        parquet = import_extra("pyarrow.parquet", "parquet")
        try:
            with local_copy(self.path) as local:
                file = parquet.ParquetFile(local)
        except (OSError, ValueError) as error:
            raise ValueError(f"{self.path} cannot be read: {error}") from error
        with file:
            held = file.schema_arrow.names
            for name in (ID, LABELS, *self.feature_names):
                if name not in held:
                    raise ValueError(
                        f"{self.path} has no column {name!r}; it has {held}."
                    )
            yield file


def _is_list_of_lists(field: Any) -> bool:
    types = import_extra("pyarrow.types", "parquet")

    def is_list(kind: Any) -> bool:
        return (
            types.is_list(kind)
            or types.is_large_list(kind)
            or types.is_fixed_size_list(kind)
        )

    return is_list(field.type) and is_list(field.type.value_type)


def _read_row(
    batch: Any, index: int, names: tuple[str, ...], entry: ArrayEntry
) -> ArrayVideo:
    """Returns the video of a row of Arrow's columns."""
    try:
        features = {
            name: _read_frames(batch.column(name)[index]) for name in names
        }
    except ValueError as error:
        raise ValueError(f"{entry.place}: {error}.") from error
    labels = batch.column(LABELS)[index].as_py()
    return ArrayVideo(
        entry.id,
        features,
        [] if labels is None else labels,
        entry.split,
        entry.place,
    )


def _read_frames(value: Any) -> np.ndarray:
    """Returns `[frames, size]` of a list of lists of numbers."""
    frames = value.values
    if frames is None or frames.null_count:
        raise ValueError("a list of frames, or a frame, is null")
    compute = import_extra("pyarrow.compute", "parquet")
    widths = set(compute.list_value_length(frames).to_pylist())
    if len(widths) > 1:
        raise ValueError(f"its frames differ in width: {sorted(widths)}")
    numbers = frames.flatten().to_numpy(zero_copy_only=False)
    return numbers.reshape(len(frames), widths.pop() if widths else 0)


class ManifestSource(ArraySource):
    """A CSV file with a line a video.

    Columns: `path`, an .npy or .npz file beside the manifest, or in its place
    `id` and an .npy file for every feature; `labels`, separated by semicolons;
    perhaps `id` and `split`.
    """

    def entries(self) -> Iterator[ArrayEntry]:
        """Yields the videos in the order of the lines."""
        others = [ID, *self.feature_names]
        for row in read_manifest(self.path, [LABELS], others):
            yield ArrayEntry(row.id, row.split, row.place, row)

    def load(self, entries: Iterable[ArrayEntry]) -> Iterator[ArrayVideo]:
        """Yields the videos of some entries."""
        for entry in entries:
            row: ManifestRow = entry.key
            try:
                features = self._read_features(row.fields)
            except ValueError as error:
                line = row.place.removesuffix(f" ({row.id})")
                raise ValueError(f"{line}: {error}") from error
            yield ArrayVideo(row.id, features, row.labels, row.split, row.place)

    def _read_features(self, row: Mapping[str, str]) -> dict[str, np.ndarray]:
        folder = self.path.parent
        if PATH in row:
            features = self._load(join(folder, row[PATH]))
            features.pop(LABELS, None)
            return features
        names = self.feature_names or tuple(
            name for name in row if name not in (ID, LABELS, SPLIT)
        )
        features = {}
        for name in names:
            arrays = self._load(join(folder, row[name]))
            if len(arrays) != 1:
                raise ValueError(
                    f"{folder / row[name]} holds the arrays {sorted(arrays)}, "
                    f"not one alone for {name!r}."
                )
            features[name] = next(iter(arrays.values()))
        return features


_BY_SUFFIX = {
    ".csv": ManifestSource,
    ".h5": Hdf5Source,
    ".hdf5": Hdf5Source,
    ".parquet": ParquetSource,
}


def open_arrays(
    path: str | Path, feature_names: tuple[str, ...] = ()
) -> ArraySource:
    """Returns the videos of a folder or a file, by its suffix.

    Args:
      path: A folder of .npy or .npz files, or a file that ends in .h5, .hdf5,
        .parquet or .csv.
      feature_names: The features that will be taken; empty for all. A single
        name also names arrays without one.

    Raises:
      ValueError: There is no such file, or its suffix is another.
    """
    path = to_path(path)
    if not path.exists():
        raise ValueError(f"There is no {path}.")
    if path.is_dir():
        return ArrayFolder(path, feature_names)
    if path.suffix not in _BY_SUFFIX:
        raise ValueError(
            f"{path} is neither a folder of .npy or .npz files nor a file that "
            f"ends in {', '.join(_BY_SUFFIX)}."
        )
    return _BY_SUFFIX[path.suffix](path, feature_names)
