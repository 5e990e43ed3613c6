"""Files are found, read once, shuffled and gone on with in the same order."""

import dataclasses
import itertools
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from distill.data.files import find_files
from distill.data.frame_draws import EVALUATION_KEY, draw_for_videos
from distill.data.pipeline import VideoReader
from distill.data.tfrecords import order_of_records
from distill.datasets.synthetic import write_synthetic_data
from distill.models.frame_budget import SELECTIONS, FrameBudget
from distill.models.frame_selection import select_frames
from distill.settings.synthetic import SyntheticSettings
from distill.system.file_patterns import exclude
from tests.data.record_files import (
    FRAME_SCHEMA,
    SCHEMAS,
    assert_same_batches,
    assert_videos_read,
    draw_videos,
    frame_record,
    ids_of,
    read_records,
    unbatch,
    write_records,
)

BUDGETS = [FrameBudget.every(n) for n in (1, 2, 3, 4, 5)] + [
    FrameBudget(selection, num_frames=k)
    for selection in SELECTIONS[1:]
    for k in (1, 3)
]


def write_shards(folder, sizes, schema=FRAME_SCHEMA):
    """Writes a file of each size; returns the files and all their videos."""
    files, videos = [], []
    for index, size in enumerate(sizes):
        drawn = draw_videos(schema, size, index, "abcdefghijkl"[index])
        path = folder / f"{index:02d}.tfrecord"
        files.append(write_records(path, [each.serialize() for each in drawn]))
        videos += drawn
    return files, videos


def touch(folder, *names):
    for name in names:
        (folder / name).touch()


def test_files_of_several_globs_are_sorted_and_listed_once(tmp_path):
    touch(tmp_path, "b2", "a1", "b1", "a2", "c1")
    patterns = ["b*", "a1", "?1"]
    joined = ", ".join(str(tmp_path / pattern) for pattern in patterns)
    names = [Path(file).name for file in find_files(f"{joined},")]
    assert names == ["a1", "b1", "b2", "c1"]


def test_a_glob_without_a_file_is_named_even_beside_others(tmp_path):
    touch(tmp_path, "a1")
    missing = str(tmp_path / "train*.tfrecord")
    with pytest.raises(
        ValueError, match=rf"^No file matches {re.escape(repr(missing))}.$"
    ):
        find_files(f"{tmp_path / 'a*'},{missing}")


def test_files_behind_an_exclamation_mark_are_left_out(tmp_path, monkeypatch):
    touch(tmp_path, "a1", "a2", "a3", "b1")
    monkeypatch.chdir(tmp_path)
    patterns = f"{tmp_path}/a*,!a[23],b*, !{tmp_path}/b1"
    assert find_files(patterns) == [str(tmp_path / "a1")]
    found = find_files(exclude("a*,b1", "a2, a3"))
    assert sorted(Path(file).name for file in found) == ["a1", "b1"]
    with pytest.raises(ValueError, match=r"^No file matches '!c\*'.$"):
        find_files("a*,!c*")
    with pytest.raises(ValueError, match=r"^All files are left out: 'a1,!a\*'"):
        find_files("a1,!a*")
    with pytest.raises(ValueError, match=r"^No file pattern given: '!a\*'"):
        find_files("!a*")


@pytest.mark.parametrize("patterns", ["", " , ,"])
def test_no_pattern_at_all_is_an_error(patterns):
    with pytest.raises(ValueError, match=r"^No file pattern given: '"):
        find_files(patterns)


@pytest.mark.parametrize("on_bad_record", ["fail", "skip"])
@pytest.mark.parametrize("level", ["frame", "video"])
def test_read_once_yields_every_record_exactly_once(
    level, on_bad_record, tmp_path
):
    schema = SCHEMAS[level]
    files, videos = write_shards(tmp_path, [7, 1, 4], schema)
    reader = VideoReader(schema, files, 5, on_bad_record=on_bad_record)
    batches = list(reader.read_once())
    assert [len(batch["id"]) for batch in batches] == [5, 5, 2]
    read = sorted(unbatch(batches), key=lambda video: video["id"])
    assert_videos_read(read, videos, schema)


@pytest.mark.parametrize("on_bad_record", ["fail", "skip"])
def test_files_of_odd_names_are_read(on_bad_record, tmp_path, capsys):
    names = ["a b", "a*", "a?", "a[1]", "a\\b", "a]", "a{b}"]
    video = draw_videos(FRAME_SCHEMA, 1)[0].serialize()
    for name in names:
        write_records(tmp_path / name, [video])
    files = find_files(str(tmp_path / "a*"))
    assert files == [str(tmp_path / name) for name in names]
    reader = VideoReader(FRAME_SCHEMA, files, 4, on_bad_record=on_bad_record)
    assert len(ids_of(reader.read_once())) == len(names)
    assert capsys.readouterr().out == ""


def test_read_once_keeps_every_files_order_over_many_files(tmp_path):
    sizes = [3, 0, 5, 1, 4, 2, 6, 1, 3, 2, 0, 7]
    files, videos = write_shards(tmp_path, sizes)
    reader = VideoReader(FRAME_SCHEMA, files, 4)
    read = ids_of(reader.read_once())
    # A stable sort by file: what is left of the order is each file's own.
    assert sorted(read, key=lambda name: name[0]) == [v.id for v in videos]
    assert ids_of(reader.read_once()) == read


@pytest.mark.parametrize("mode", ["read_once", "read_shuffled"])
def test_batches_have_the_stated_types_and_travel_as_bytes(mode, tmp_path):
    files, _ = write_shards(tmp_path, [3])
    reader = VideoReader(FRAME_SCHEMA, files, 2)
    arguments = (0, 0, 3) if mode == "read_shuffled" else ()
    batches = getattr(reader, mode)(*arguments)
    for batch, size in zip(batches, (2, 1), strict=True):
        found = {
            name: (value.dtype, tuple(value.shape))
            for name, value in batch.items()
        }
        assert found == {
            "id": (tf.string, (size,)),
            "labels": (tf.bool, (size, 5)),
            "frames": (tf.uint8, (size, 4, 5)),
            "num_frames": (tf.int32, (size,)),
            "position": (tf.int64, (size,)),
        }


@pytest.mark.parametrize(
    ("buffer_size", "batch_size"), [(1, 4), (5, 1), (1000, 50), (5, 4)]
)
def test_an_epoch_is_a_permutation_of_all_videos(
    buffer_size, batch_size, tmp_path
):
    files, videos = write_shards(tmp_path, [9, 3, 8])
    reader = VideoReader(FRAME_SCHEMA, files, batch_size)
    read = unbatch(reader.read_shuffled(1, 0, buffer_size))
    assert [each["position"] for each in read] == list(range(1, 21))
    read.sort(key=lambda video: video["id"])
    assert_videos_read(read, videos, FRAME_SCHEMA)


def test_the_order_repeats_with_seed_and_epoch_and_else_differs(tmp_path):
    files, _ = write_shards(tmp_path, [9, 6, 9])
    reader = VideoReader(FRAME_SCHEMA, files, 4)
    orders = {
        (seed, epoch): ids_of(reader.read_shuffled(seed, epoch, 16))
        for seed, epoch in ((0, 0), (0, 1), (1, 0))
    }
    assert len(set(map(tuple, orders.values()))) == len(orders)
    again = VideoReader(FRAME_SCHEMA, files, 7)
    for (seed, epoch), order in orders.items():
        assert ids_of(again.read_shuffled(seed, epoch, 16)) == order


def test_the_order_of_the_files_is_drawn_too(tmp_path):
    files, _ = write_shards(tmp_path, [1] * 12)
    reader = VideoReader(FRAME_SCHEMA, files, 12)
    firsts = {
        next(iter(reader.read_shuffled(0, epoch, 1)))["id"].numpy()[0]
        for epoch in range(5)
    }
    assert len(firsts) > 3


def test_a_full_buffer_mixes_all_files(tmp_path):
    files, _ = write_shards(tmp_path, [30, 30])
    order = ids_of(VideoReader(FRAME_SCHEMA, files, 60).read_shuffled(5, 0, 60))
    numbers = [int(name[1:]) for name in order]
    early = np.mean(np.array(numbers[:30]) < 15)
    assert 0.2 < early < 0.8  # in file order it would be 1


def write_shards_with_bad_records(folder):
    """Writes 3 files of which records fail in every way.

    Returns:
      The files and the videos that are whole.
    """
    files, videos = write_shards(folder, [8, 7, 9])
    frame_narrow = dataclasses.replace(videos[0], features={})
    frame_narrow.features = {
        "rgb": np.zeros((2, 2), np.uint8),
        "audio": np.zeros((2, 2), np.uint8),
    }
    outside = dataclasses.replace(videos[1], labels=[99])
    bad = [frame_narrow.serialize(), b"not a proto", outside.serialize()]
    for index, file in enumerate(files):
        records = read_records(file)
        for number, each in enumerate(bad):
            records.insert(3 * number + index, each)
        framed = b"".join(map(frame_record, records))
        Path(file).write_bytes(framed if index != 1 else framed[:-5])
    lost = videos.pop(14)  # the last of the second file, which was cut
    assert lost.id == "b006"
    return files, videos


@pytest.mark.parametrize("on_bad_record", ["fail", "skip"])
@pytest.mark.parametrize(
    "buffer_size",
    [6, *(pytest.param(s, marks=pytest.mark.slow) for s in (1, 100))],
)
def test_a_second_reader_goes_on_from_every_position(
    buffer_size, on_bad_record, tmp_path
):
    if on_bad_record == "skip":
        files, videos = write_shards_with_bad_records(tmp_path)
    else:
        files, videos = write_shards(tmp_path, [8, 7, 9])
    reader = VideoReader(FRAME_SCHEMA, files, 4, on_bad_record=on_bad_record)
    batches = list(reader.read_shuffled(2, 3, buffer_size))
    read = sorted(unbatch(batches), key=lambda video: video["id"])
    assert_videos_read(read, videos, FRAME_SCHEMA)
    assert len(batches) == 6
    for done in range(1, 7):
        position = int(batches[done - 1]["position"][-1])
        second = VideoReader(
            FRAME_SCHEMA, files, 4, on_bad_record=on_bad_record
        )
        rest = list(second.read_shuffled(2, 3, buffer_size, position))
        assert len(rest) == 6 - done
        if rest:
            assert_same_batches(rest, batches[done:])


def test_positions_count_skipped_records_too(tmp_path):
    videos = draw_videos(FRAME_SCHEMA, 4)
    records = [video.serialize() for video in videos]
    records.insert(0, b"not a proto")
    records.insert(3, dataclasses.replace(videos[0], labels=[9]).serialize())
    file = write_records(tmp_path / "a.tfrecord", records)
    reader = VideoReader(FRAME_SCHEMA, [file], 3, on_bad_record="skip")
    read = unbatch(reader.read_once())
    assert [video["position"] for video in read] == [2, 3, 5, 6]


@pytest.mark.parametrize("sizes", [(100, 0, 37), (0,)])
def test_the_number_of_equal_records_is_exact(sizes, tmp_path):
    video = draw_videos(FRAME_SCHEMA, 1)[0].serialize()
    files = [
        write_records(tmp_path / f"{index}.tfrecord", [video] * size)
        for index, size in enumerate(sizes)
    ]
    reader = VideoReader(FRAME_SCHEMA, files, 4)
    assert reader.estimate_num_records() == sum(sizes)


def test_the_number_of_synthetic_records_is_estimated_within_a_fifth(tmp_path):
    settings = SyntheticSettings(
        "train",
        500,
        num_shards=5,
        feature_sizes=(16, 4),
        num_classes=20,
        max_frames=60,
    )
    files = [str(path) for path, _ in write_synthetic_data(settings, tmp_path)]
    number = VideoReader(FRAME_SCHEMA, files, 4).estimate_num_records()
    assert 400 <= number <= 600


@pytest.fixture(scope="module")
def whole_videos(tmp_path_factory):
    """Returns files and their batches with all frames."""
    files, _ = write_shards(tmp_path_factory.mktemp("whole"), [7, 1, 4])
    return files, list(VideoReader(FRAME_SCHEMA, files, 5).read_once())


@pytest.mark.parametrize(
    ("budget", "on_bad_record"),
    # Both parsers read every selection, of few frames or more.
    list(zip(BUDGETS, itertools.cycle(["fail", "skip"]), strict=False)),
    ids=lambda value: getattr(value, "name", value),
)
def test_frames_selected_in_reading_are_those_of_the_whole_video(
    whole_videos, budget, on_bad_record
):
    files, whole = whole_videos
    selected = VideoReader(
        FRAME_SCHEMA, files, 5, on_bad_record=on_bad_record, budget=budget
    ).read_once()
    for batch, found in zip(whole, selected, strict=True):
        draws = draw_for_videos(
            batch["id"],
            budget.num_draws(FRAME_SCHEMA.max_frames),
            EVALUATION_KEY,
        )
        videos = {key: batch[key] for key in ("frames", "num_frames")}
        kept = dict(select_frames(videos | {"draws": draws}, budget))
        kept.pop("draws", None)
        real = tf.sequence_mask(kept["num_frames"], kept["frames"].shape[1])
        kept["frames"] = np.where(real[..., None], kept["frames"], 0)
        expected = batch | kept
        assert expected.keys() == found.keys()
        for key in expected:
            np.testing.assert_array_equal(found[key], expected[key], key)


@pytest.mark.parametrize(
    "sizes", [(5,), (3, 0, 4), (9, 2, 1, 7, 5, 3, 1, 4, 6, 8, 2)]
)
@pytest.mark.parametrize(
    "batch_size", [1, 4, pytest.param(7, marks=pytest.mark.slow)]
)
def test_chosen_records_are_whole_batches_of_a_pass(
    sizes, batch_size, tmp_path
):
    files, _ = write_shards(tmp_path, sizes)
    reader = VideoReader(FRAME_SCHEMA, files, batch_size)
    expected = list(reader.read_once())
    order = order_of_records(sizes)
    # A reader is made of each part, which takes a while: at most six.
    size = batch_size * max(len(order) // batch_size // 5, 1)
    letters = [video_id[0] for video_id in ids_of(expected)]
    assert letters == ["abcdefghijkl"[index] for index in order]
    found = []
    for start in reversed(range(0, len(order), size)):
        first = np.bincount(order[:start], minlength=len(files))
        some = reader.read_chosen(order[start : start + size], first)
        found = [*some, *found]
    assert len(found) == len(expected)
    for batch, other in zip(found, expected, strict=True):
        for name in ("id", "frames", "num_frames", "labels"):
            np.testing.assert_array_equal(batch[name], other[name])
