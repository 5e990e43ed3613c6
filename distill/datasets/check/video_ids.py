"""Ids that come more than once, among any number of videos, exactly.

Equal hashes of 64 bits tell which ids may be equal; those ids alone are
compared. In memory a video takes 8 bytes while files are read and some 24
while ids are compared; its id and record number lie in a temporary file.
"""

import bisect
import dataclasses
import hashlib
import itertools
import tempfile
from array import array
from collections.abc import Iterator

import numpy as np

from distill.datasets.check.examples import FirstExamples

_HASH_BYTES = 8
_VIDEOS_AT_ONCE = 1 << 20
_MOST_EXAMPLES = 5


@dataclasses.dataclass
class FileIds:
    """The ids of one file's videos.

    Attributes:
      hashes: 64 bits of each.
      numbers: Each one's record number.
      ends: Where each one ends in `contents`.
      contents: All ids, one behind the other.
    """

    hashes: array = dataclasses.field(default_factory=lambda: array("Q"))
    numbers: array = dataclasses.field(default_factory=lambda: array("Q"))
    ends: array = dataclasses.field(default_factory=lambda: array("Q"))
    contents: bytearray = dataclasses.field(default_factory=bytearray)

    def add(self, number: int, video_id: bytes) -> None:
        """Adds the id of a record."""
        self.hashes.append(hash_id(video_id))
        self.numbers.append(number)
        self.contents += video_id
        self.ends.append(len(self.contents))


def hash_id(video_id: bytes) -> int:
    """Returns 64 bits that depend on every bit of an id."""
    digest = hashlib.blake2b(video_id, digest_size=_HASH_BYTES).digest()
    return int.from_bytes(digest, "little")


@dataclasses.dataclass
class Duplicates:
    """Ids that come more than once in one split, or in both of two.

    Attributes:
      num_ids: Different ids.
      num_records: Of one split: their records beyond each one's first.
      examples: Pairs of places, (file, record number) each, and the id.
    """

    num_ids: int = 0
    num_records: int = 0
    examples: FirstExamples = dataclasses.field(
        default_factory=lambda: FirstExamples(_MOST_EXAMPLES)
    )


@dataclasses.dataclass(frozen=True)
class _Block:
    """Where the ids of a file lie in the temporary file, and whose they are."""

    split: int
    file: int
    num_videos: int
    offset: int


class VideoIds:
    """The ids of all files, gathered in any order.

    To be closed, or used as a context manager; the temporary file (in
    `TMPDIR`) has no name and is gone then.
    """

    def __init__(self):
        self._file = tempfile.TemporaryFile(prefix="distill-ids-")
        self._size = 0
        self._hashes: list[np.ndarray] = []
        self._blocks: list[_Block] = []
        self._starts: list[int] = []
        self._num_videos = 0

    def __enter__(self) -> "VideoIds":
        """Returns itself."""
        return self

    def __exit__(self, *error) -> None:
        """Removes the temporary file."""
        self._file.close()

    def add(self, split: int, file: int, ids: FileIds) -> None:
        """Adds the ids of a file, known by the numbers of split and file.

        Raises:
          OSError: There is no room for the temporary file.
        """
        if not ids.hashes:
            return
        parts = (ids.numbers.tobytes(), ids.ends.tobytes(), ids.contents)
        try:
            self._file.seek(self._size)
            for part in parts:
                self._file.write(part)
        except OSError as error:
            raise OSError(
                f"The ids do not fit into {tempfile.gettempdir()}: {error}. "
                "(TMPDIR names another directory.)"
            ) from error
        self._blocks.append(_Block(split, file, len(ids.hashes), self._size))
        self._starts.append(self._num_videos)
        self._hashes.append(np.array(ids.hashes, np.uint64))
        self._num_videos += len(ids.hashes)
        self._size += sum(map(len, parts))

    def find_duplicates(self) -> dict[tuple[int, int], Duplicates]:
        """Returns what comes twice, by the numbers of two splits.

        A pair of a number with itself stands for what comes twice in a split.
        Pairs without a duplicate are left out.
        """
        found: dict[tuple[int, int], Duplicates] = {}
        for video_id, places in self._equal_ids():
            by_split = {
                split: [place[1:] for place in group]
                for split, group in itertools.groupby(
                    places, key=lambda place: place[0]
                )
            }
            for split, group in by_split.items():
                if len(group) > 1:
                    _count(found, (split, split), video_id, *group)
            for first, second in itertools.combinations(by_split, 2):
                pair = by_split[first][0], by_split[second][0]
                _count(found, (first, second), video_id, *pair)
        return found

    def _equal_ids(self) -> Iterator[tuple[bytes, list[tuple]]]:
        """Yields an id that comes again with its sorted places.

        A place is the numbers of split, file and record.
        """
        for videos in self._equal_hashes():
            by_id: dict[bytes, list[tuple]] = {}
            for video in videos:
                video_id, *place = self._look_up(video)
                by_id.setdefault(video_id, []).append(tuple(place))
            for video_id, places in by_id.items():
                if len(places) > 1:
                    yield video_id, sorted(places)

    def _equal_hashes(self) -> Iterator[list[int]]:
        """Yields the numbers of videos whose hashes are equal."""
        if not self._hashes:
            return
        self._hashes = [np.concatenate(self._hashes)]
        hashes = self._hashes[0]
        in_order = np.sort(hashes)
        repeated = np.unique(in_order[1:][in_order[1:] == in_order[:-1]])
        del in_order
        if not repeated.size:
            return
        candidates = []
        for start in range(0, len(hashes), _VIDEOS_AT_ONCE):
            part = hashes[start : start + _VIDEOS_AT_ONCE]
            nearest = np.searchsorted(repeated, part).clip(
                max=repeated.size - 1
            )
            candidates.append(np.flatnonzero(repeated[nearest] == part) + start)
        videos = np.concatenate(candidates)
        videos = videos[np.argsort(hashes[videos], kind="stable")]
        for _, group in itertools.groupby(videos, key=lambda v: hashes[v]):
            yield [int(video) for video in group]

    def _look_up(self, video: int) -> tuple[bytes, int, int, int]:
        """Returns a video's id and the numbers of split, file and record."""
        index = bisect.bisect_right(self._starts, video) - 1
        block, position = self._blocks[index], video - self._starts[index]
        ends = block.offset + 8 * block.num_videos
        contents = ends + 8 * block.num_videos
        (number,) = self._read_numbers(block.offset + 8 * position, 1)
        if position:
            start, end = self._read_numbers(ends + 8 * (position - 1), 2)
        else:
            start, (end,) = 0, self._read_numbers(ends, 1)
        self._file.seek(contents + start)
        video_id = self._file.read(end - start)
        return video_id, block.split, block.file, number

    def _read_numbers(self, offset: int, count: int) -> array:
        self._file.seek(offset)
        return array("Q", self._file.read(8 * count))


def _count(found, pair, video_id, first, second, *others):
    duplicates = found.setdefault(pair, Duplicates())
    duplicates.num_ids += 1
    duplicates.num_records += 1 + len(others)
    duplicates.examples.add((first, second, video_id))
