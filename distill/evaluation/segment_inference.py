"""The best segments of every class as a CSV file.

YouTube-8M Segments (2019): `Class,Segments`, for each class a line of segment
ids `VIDEO:START`, best first.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from distill.evaluation.evaluate import Prediction
from distill.evaluation.prediction_files.files import new_csv
from distill.evaluation.prediction_files.segment_files import (
    SCORED_HEADER,
    SEGMENTS_HEADER,
    RankedSegments,
    merge_segments,
)
from distill.evaluation.shared_reading import SharedReading
from distill.models.argument_checks import check_at_least
from distill.system.storage import to_path


class TopSegments:
    """The best segments of some classes, of any number of batches.

    In a tie the ids' alphabetical order decides, so neither the batches nor
    their order have an effect. Memory holds at most twice `max_per_class`
    segments and a batch for each class.
    """

    def __init__(self, classes: Sequence[int], max_per_class: int):
        check_at_least(1, segment_max_per_class=max_per_class)
        self.classes = list(classes)
        self.max_per_class = max_per_class
        # For each class the kept scores and the segments' places in `_ids`.
        self._scores = [np.empty(0, np.float32) for _ in self.classes]
        self._places = [np.empty(0, np.int32) for _ in self.classes]
        self._ids = np.empty(0, object)
        self._pending_scores: list[np.ndarray] = []
        self._pending_ids: list[str] = []

    def update(self, segments: Prediction) -> None:
        """Adds a batch.

        Raises:
          ValueError: A score is not finite.
        """
        if not np.isfinite(segments.predictions).all():
            raise ValueError("A prediction is not finite (NaN or infinity).")
        self._pending_scores.append(segments.predictions[:, self.classes])
        self._pending_ids += segments.ids
        # A merge reads all kept segments, so it waits for many batches.
        if len(self._pending_ids) >= self.max_per_class:
            self._merge()

    def rank(self) -> Iterator[RankedSegments]:
        """Yields the best segments of each class, best first."""
        self._merge()
        ranks = np.empty(len(self._ids), np.int32)
        ranks[np.argsort(self._ids)] = np.arange(len(ranks))
        for index, label in enumerate(self.classes):
            scores, places = self._scores[index], self._places[index]
            order = np.lexsort((ranks[places], -scores))
            yield RankedSegments(
                label, self._ids[places[order]].tolist(), scores[order].tolist()
            )

    def _merge(self) -> None:
        if not self._pending_ids:
            return
        added = np.concatenate(self._pending_scores)
        ids = np.array(self._pending_ids, object)
        self._pending_scores, self._pending_ids = [], []
        first = len(self._ids)
        places = np.arange(first, first + len(ids), dtype=np.int32)
        self._ids = np.concatenate([self._ids, ids])
        for index in range(len(self.classes)):
            scores = np.concatenate([self._scores[index], added[:, index]])
            all_places = np.concatenate([self._places[index], places])
            kept = self._select_best(scores, all_places)
            self._scores[index] = scores[kept]
            self._places[index] = all_places[kept]
        used = np.zeros(len(self._ids), bool)
        for places in self._places:
            used[places] = True
        new_places = np.cumsum(used, dtype=np.int32) - 1
        self._ids = self._ids[used]
        self._places = [new_places[places] for places in self._places]

    def _select_best(
        self, scores: np.ndarray, places: np.ndarray
    ) -> np.ndarray:
        """Returns the indexes of the best of the segments at places."""
        count = self.max_per_class
        if len(scores) <= count:
            return np.arange(len(scores))
        least = np.partition(scores, -count)[-count]
        above = np.flatnonzero(scores > least)
        equal = np.flatnonzero(scores == least)
        missing = count - len(above)
        if missing < len(equal):
            equal = equal[np.argsort(self._ids[places[equal]])][:missing]
        return np.concatenate([above, equal])


def write_segments(
    path: str | Path,
    batches: Iterable[Prediction],
    top: TopSegments,
    with_scores: bool = False,
) -> Iterator[int]:
    """Writes the best segments of every class as CSV, atomically.

    The file has the form `Class,Segments`, or the one that `merge_segments`
    reads, with scores. Yields the number of segments read so far, after every
    batch.
    """
    count = 0
    with new_csv(
        path, SCORED_HEADER if with_scores else SEGMENTS_HEADER
    ) as file:
        for segments in batches:
            top.update(segments)
            count += len(segments.ids)
            yield count
        for ranked in top.rank():
            file.write(ranked.to_csv(with_scores))


def write_shared_segments(
    path: str | Path,
    batches: Iterable[Prediction],
    top: TopSegments,
    sharing: SharedReading,
) -> Iterator[int]:
    """Writes the best segments of all workers as one CSV, atomically.

    Every worker writes its best segments beside the file, in a directory that
    all machines see. The chief merges these files. Yields the number of this
    worker's segments so far, after every batch.
    """
    workers = sharing.workers
    if workers.num_workers == 1:
        yield from write_segments(path, batches, top)
        return
    parts = sharing.part_files(path)
    yield from write_segments(
        parts[workers.rank], batches, top, with_scores=True
    )
    workers.wait()
    if workers.is_chief:
        merge_segments(parts, path, top.max_per_class)
        for part in parts:
            part.unlink()


def read_class_list(path: str | Path, num_classes: int) -> list[int]:
    """Reads the class index at the start of every line, ascending.

    A first line without an index is a header.

    Raises:
      ValueError: A line has no index below `num_classes`, or no line has one.
    """
    lines = to_path(path).read_text(encoding="utf-8").rstrip().splitlines()
    classes = set()
    for number, line in enumerate(lines, start=1):
        word = line.partition(",")[0].strip()
        if number == 1 and not word.removeprefix("-").isdecimal():
            continue
        if not word.isdecimal() or int(word) >= num_classes:
            raise ValueError(
                f"{path}, line {number}: {word!r} is not a class index from 0 "
                f"to {num_classes - 1} (--segment_label_ids_file)."
            )
        classes.add(int(word))
    if not classes:
        raise ValueError(
            f"{path} has no class index (--segment_label_ids_file)."
        )
    return sorted(classes)
