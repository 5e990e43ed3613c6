"""Writing input files for shards and looking at the written ones."""

from collections.abc import Sequence
from pathlib import Path

from tests.data.record_files import write_records


def write_files(folder: Path, messages: Sequence, bounds: Sequence) -> list:
    """Writes a file `v-0.tfrecord` ... of each range of some messages."""
    folder.mkdir()
    return [
        write_records(
            folder / f"v-{index}.tfrecord",
            [each.SerializeToString() for each in messages[first:last]],
        )
        for index, (first, last) in enumerate(bounds)
    ]


def contents_of(folder: Path) -> dict[str, bytes]:
    """Returns the bytes of a folder's shards by their names."""
    return {
        path.name: path.read_bytes()
        for path in sorted(Path(folder).glob("*.tfrecord"))
    }
