"""Several workers read an epoch: each record once, by one worker."""

import collections
import threading

import numpy as np
import pytest

from distill.data.bad_records import BadRecordError
from distill.data.pipeline import VideoReader
from distill.distributed.workers import Workers
from distill.training.streams import EpochReader
from tests.data.record_files import VIDEO_SCHEMA, Video, write_records
from tests.hang_guard import HANG_SECONDS

FILE_SIZES = (7, 0, 12, 3, 9)
NUM_RECORDS = sum(FILE_SIZES)
SEED, BUFFER = 3, 4


class ThreadWorkers(Workers):
    """Workers that are threads and sum by an array they share."""

    @classmethod
    def make(cls, count):
        barrier = threading.Barrier(count)
        shared = [None] * count
        members = [cls(rank=rank, num_workers=count) for rank in range(count)]
        for member in members:
            object.__setattr__(member, "barrier", barrier)
            object.__setattr__(member, "shared", shared)
        return members

    def sum(self, values):
        self.shared[self.rank] = np.array(values)
        self.barrier.wait(HANG_SECONDS)
        total = np.sum(self.shared, axis=0)
        self.barrier.wait(HANG_SECONDS)
        return total


def run_threads(functions):
    """Runs functions at once; returns their results or raises an error."""
    results, errors = [None] * len(functions), []

    def call(index, function):
        try:
            results[index] = function()
        except Exception as error:
            errors.append(error)

    threads = [
        threading.Thread(target=call, args=item)
        for item in enumerate(functions)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG_SECONDS)
    if errors:
        raise errors[0]
    return results


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    directory = tmp_path_factory.mktemp("streams")
    names, means = [], {"mean_rgb": np.ones(3), "mean_audio": np.ones(2)}
    for number, size in enumerate(FILE_SIZES):
        path = directory / f"train-{number}.tfrecord"
        records = [
            Video(f"{number}/{index}", [index % 5], means).serialize()
            for index in range(size)
        ]
        names.append(write_records(path, records))
    return names


def all_ids():
    return [
        f"{number}/{index}".encode()
        for number, size in enumerate(FILE_SIZES)
        for index in range(size)
    ]


def read_epoch(
    files, count, shard_by="file", batch_size=7, positions=(), steps=None
):
    """Returns each worker's steps: ids, counts, positions; some or all."""

    def read(workers):
        reader = VideoReader(VIDEO_SCHEMA, files, batch_size)
        epochs = EpochReader(reader, workers, shard_by)
        read = []
        for batch in epochs.read(SEED, 0, BUFFER, list(positions), []):
            assert not batch.interrupted
            read.append((batch, batch.batch["id"].numpy().tolist()))
            if len(read) == steps:
                break
        return read

    members = ThreadWorkers.make(count)
    return run_threads([lambda m=member: read(m) for member in members])


def ids_of(epochs):
    return [video for steps in epochs for _, ids in steps for video in ids]


@pytest.mark.parametrize("count", [2, 5])
def test_workers_with_files_of_their_own_read_every_record_once(files, count):
    epochs = read_epoch(files, count)
    assert sorted(ids_of(epochs)) == sorted(all_ids())
    owners = collections.defaultdict(set)
    for worker, steps in enumerate(epochs):
        for video in ids_of([steps]):
            owners[video.split(b"/")[0]].add(worker)
    assert all(len(workers) == 1 for workers in owners.values())
    # All make as many steps, and know of all what each has.
    assert len({len(steps) for steps in epochs}) == 1
    for index, (batch, _) in enumerate(epochs[0]):
        assert batch.counts == [len(steps[index][1]) for steps in epochs]
        assert 1 <= batch.num_examples <= 7
    assert sum(epochs[-1][-1][0].positions) == NUM_RECORDS


@pytest.mark.parametrize(("first", "second"), [(1, 2), (2, 1), (2, 4), (3, 2)])
def test_an_epoch_goes_on_with_another_number_of_workers(files, first, second):
    """Every record is read exactly once, before or after."""
    begun = read_epoch(files, first, steps=2)
    positions = begun[0][-1][0].positions
    assert len(positions) == first
    assert all(steps[-1][0].positions == positions for steps in begun)
    assert sum(positions) == len(ids_of(begun))
    ended = read_epoch(files, second, positions=positions)
    if first == 1:
        # One stream is shared by batches: all workers hold the same.
        assert all(ids_of([e]) == ids_of(ended[:1]) for e in ended)
        ended = ended[:1]
    assert sorted(ids_of(begun) + ids_of(ended)) == sorted(all_ids())


def test_one_worker_makes_the_same_global_batches_of_two_streams(files):
    begun = read_epoch(files, 2, steps=1)
    positions = begun[0][-1][0].positions
    two = read_epoch(files, 2, positions=positions)
    one = read_epoch(files, 1, positions=positions)
    expected = [sorted(ids_of([[a], [b]])) for a, b in zip(*two, strict=True)]
    assert [sorted(ids) for _, ids in one[0]] == expected


def test_workers_that_share_batches_all_read_those_of_one_process(files):
    expected = [ids for _, ids in read_epoch(files, 1)[0]]
    for steps in read_epoch(files, 3, shard_by="batch"):
        assert [ids for _, ids in steps] == expected
        for batch, ids in steps:
            assert batch.is_shared
            assert batch.counts == [len(ids)] * 3
            assert batch.num_examples == len(ids)


def test_a_worker_asked_to_end_ends_all_at_the_same_step(files):
    def read(workers):
        caught = []
        reader = VideoReader(VIDEO_SCHEMA, files, 6)
        epochs = EpochReader(reader, workers, "file")
        for number, batch in enumerate(epochs.read(SEED, 0, 4, [], caught)):
            if batch.interrupted:
                return number
            if workers.rank == 1 and number == 1:
                caught.append("SIGTERM")

    members = ThreadWorkers.make(3)
    assert run_threads([lambda m=m: read(m) for m in members]) == [2, 2, 2]


def test_more_workers_than_files_are_told_to_share_batches(files):
    reader = VideoReader(VIDEO_SCHEMA, files[:2], 6)
    with pytest.raises(ValueError, match="3 workers cannot share 2 files"):
        EpochReader(reader, Workers(num_workers=3), "file")
    EpochReader(reader, Workers(num_workers=3), "batch")


def test_files_without_records_are_refused(files):
    with pytest.raises(BadRecordError, match="No example in 2 files"):
        read_epoch([files[1], files[1]], 2)
