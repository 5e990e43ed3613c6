"""Shards of k frames: read, trained and scored as the whole videos are."""

import collections
import dataclasses
import itertools
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from distill.data.bad_records import (
    BadRecordError,
    Expected,
    describe_record,
)
from distill.data.kept_frames import BUDGET_KEY
from distill.data.pipeline import VideoReader
from distill.data.reasons import GOOD, REASONS
from distill.data.records import parse_records
from distill.datasets.budget_shards import (
    BudgetShards,
    KeptFrames,
    describe_sizes,
)
from distill.models.frame_budget import (
    ALL_FRAMES,
    EVERY_N,
    SEGMENT_ATTENTION,
    SEGMENT_MEANS,
    SELECTIONS,
    FrameBudget,
)
from tests.data.record_files import (
    FRAME_SCHEMA,
    assert_same_batches,
    decode_video,
    draw_videos,
    read_records,
    write_records,
)
from tests.datasets.written_shards import contents_of, write_files

# Videos of 1 to 11 frames, of which some are cut and some are not selected.
SCHEMA = dataclasses.replace(FRAME_SCHEMA, max_frames=9)
VIDEOS = draw_videos(SCHEMA, 40, seed=3)
UNIFORM = FrameBudget("uniform_k", num_frames=3)
BUDGETS = [FrameBudget.every(4)] + [
    FrameBudget(selection, num_frames=3)
    for selection in SELECTIONS
    if selection not in (EVERY_N, SEGMENT_MEANS, SEGMENT_ATTENTION)
]
MEANS = FrameBudget(SEGMENT_MEANS, num_frames=3)
BOUNDS = [(0, 17), (17, 18), (18, 40)]


def whole_message(video):
    """Returns a record with more in it than the schema names."""
    message = video.message()
    context = message.context.feature
    context["title"].bytes_list.value.append(b"\xff title")
    context["scores"].float_list.value.extend([0.5, -1.0])
    context["years"].int64_list.value.extend([7, 8])
    context["nothing"].SetInParent()
    lists = message.feature_lists.feature_list
    for position in range(len(lists["rgb"].feature)):
        lists["times"].feature.add().int64_list.value.append(position)
    lists["none"].SetInParent()
    return message


MESSAGES = [whole_message(video) for video in VIDEOS]


@pytest.fixture
def files(tmp_path):
    """Three files of the 40 videos."""
    return write_files(tmp_path / "whole", MESSAGES, BOUNDS)


def cut(files, folder, budget=UNIFORM, schema=SCHEMA, num_workers=2):
    """Writes shards; returns whether each was written, by its name."""
    written = {}

    def report(path, is_new):
        written[path.name] = is_new

    shards = BudgetShards(KeptFrames(schema, budget), files, folder)
    shards.write(report, num_workers)
    return written


def shards_in(folder):
    return sorted(map(str, Path(folder).glob("*.tfrecord")))


def messages_in(folder):
    return [
        tf.train.SequenceExample.FromString(record)
        for shard in shards_in(folder)
        for record in read_records(shard)
    ]


def parse(files, schema, budget):
    """Returns what the reader makes of all records of some files."""
    records = [record for file in files for record in read_records(file)]
    return parse_records(tf.constant(records), schema, True, budget)


@pytest.mark.parametrize("budget", BUDGETS, ids=lambda each: each.name)
def test_every_selection_is_parsed_as_of_whole_videos(files, tmp_path, budget):
    cut(files, tmp_path, budget)
    parsed = [
        parse(each, SCHEMA, budget) for each in (shards_in(tmp_path), files)
    ]
    assert_same_batches(*[[each] for each in parsed])
    assert len(parsed[0]["id"]) == len(VIDEOS)
    assert not (parsed[0]["reason"].numpy() != GOOD).any()


def test_reader_gives_identical_batches(files, tmp_path):
    cut(files, tmp_path)
    shards = shards_in(tmp_path)
    expected = list(VideoReader(SCHEMA, files, 16, budget=UNIFORM).read_once())
    reader = VideoReader(SCHEMA, shards, 16, budget=UNIFORM)
    assert_same_batches(reader.read_once(), expected)


def test_means_are_stored_as_the_nearest_bytes(tmp_path):
    files = write_files(
        tmp_path / "whole", [video.message() for video in VIDEOS], BOUNDS
    )
    cut(files, tmp_path, MEANS)
    shards = shards_in(tmp_path)
    for video, record in zip(VIDEOS, messages_in(tmp_path), strict=True):
        stored = decode_video(record.SerializeToString(), SCHEMA).features
        length = min(len(video.features["rgb"]), SCHEMA.max_frames)
        parts = min(length, 3)
        borders = [part * length // parts for part in range(parts + 1)]
        for name, frames in video.features.items():
            means = [
                frames[a:b].mean(axis=0) for a, b in itertools.pairwise(borders)
            ]
            np.testing.assert_array_equal(stored[name], np.rint(means))
    found, whole = (parse(each, SCHEMA, MEANS) for each in (shards, files))
    step = (SCHEMA.quantisation_max - SCHEMA.quantisation_min) / 255
    off = np.abs(found["frames"] - whole["frames"])
    assert 0.4 * step < off.max() <= 0.5 * step + 1e-6
    np.testing.assert_array_equal(found["num_frames"], whole["num_frames"])
    for other in (ALL_FRAMES, FrameBudget(SEGMENT_MEANS, num_frames=2)):
        reasons = parse(shards, SCHEMA, other)["reason"]
        assert [REASONS[each] for each in reasons] == [
            "frames of another budget"
        ] * len(VIDEOS)


def test_means_of_floats_are_stored_as_floats(tmp_path):
    schema = dataclasses.replace(SCHEMA, float_frames=True)
    messages = [video.message() for video in VIDEOS]
    for message in messages:
        for entries in message.feature_lists.feature_list.values():
            for frame in entries.feature:
                values = np.frombuffer(frame.bytes_list.value[0], np.uint8)
                frame.float_list.value.extend(values / 7)
    files = write_files(tmp_path / "whole", messages, BOUNDS)
    cut(files, tmp_path, MEANS, schema)
    found, whole = (
        parse(each, schema, MEANS) for each in (shards_in(tmp_path), files)
    )
    np.testing.assert_allclose(found["frames"], whole["frames"], rtol=1e-6)
    np.testing.assert_array_equal(found["num_frames"], whole["num_frames"])


@pytest.mark.slow
def test_other_batches_orders_and_lacking_labels_change_nothing(tmp_path):
    messages = [whole_message(video) for video in VIDEOS]
    for message in messages[::3]:
        del message.context.feature["labels"]
    files = write_files(tmp_path / "whole", messages, BOUNDS)
    budget = FrameBudget("random_k", num_frames=3)
    cut(files, tmp_path / "out", budget)
    readers = [
        VideoReader(SCHEMA, each, 7, need_labels=False, budget=budget)
        for each in (shards_in(tmp_path / "out"), files)
    ]
    assert_same_batches(*[reader.read_once() for reader in readers])
    readers = [dataclasses.replace(r, budget=UNIFORM) for r in readers]
    cut(files, tmp_path / "uniform")
    readers[0] = dataclasses.replace(
        readers[0], files=shards_in(tmp_path / "uniform")
    )
    assert_same_batches(
        *[reader.read_shuffled(3, 2, 20, 5) for reader in readers]
    )


def test_everything_else_stays_and_the_source_is_noted(files, tmp_path):
    cut(files, tmp_path / "out")
    sources = [
        Path(file).name
        for file, (first, last) in zip(files, BOUNDS, strict=True)
        for _ in range(first, last)
    ]
    for whole, message, source in zip(
        MESSAGES, messages_in(tmp_path / "out"), sources, strict=True
    ):
        context = message.context.feature
        notes = {
            name: context.pop(name)
            for name in ("frame_budget", "source_file", "source_frames")
        }
        assert notes["frame_budget"].bytes_list.value == [b"uniform_k=3"]
        assert notes["source_file"].bytes_list.value == [source.encode()]
        lists = whole.feature_lists.feature_list
        assert notes["source_frames"].int64_list.value == [
            len(lists["rgb"].feature)
        ]
        assert message.context == whole.context
        kept = message.feature_lists.feature_list
        assert kept.keys() == lists.keys()
        times = [each.int64_list.value[0] for each in kept["times"].feature]
        for name in ("rgb", "audio", "times"):
            expected = [lists[name].feature[time] for time in times]
            assert list(kept[name].feature) == expected
        assert not kept["none"].feature


@pytest.mark.parametrize(
    ("budget", "wanted"),
    [
        (FrameBudget("first_k", num_frames=3), "first_k=3"),
        (ALL_FRAMES, "all"),
        (
            dataclasses.replace(UNIFORM, random_offset=True),
            "uniform_k=3, drawn from whole videos,",
        ),
    ],
)
def test_reader_of_another_budget_names_record_and_both_budgets(
    files, tmp_path, budget, wanted
):
    cut(files, tmp_path / "out")
    shards = shards_in(tmp_path / "out")
    says = (
        f"{shards[0]}, record 0: it holds the frames uniform_k=3 alone; "
        f"wanted are {wanted} ("
    )
    with pytest.raises(BadRecordError, match=f"^{re.escape(says)}"):
        list(VideoReader(SCHEMA, shards, 16, budget=budget).read_once())


def test_empty_budget_stands_for_a_whole_video():
    message = whole_message(VIDEOS[0])
    message.context.feature[BUDGET_KEY].bytes_list.value.append(b"")
    drawn = dataclasses.replace(UNIFORM, random_offset=True)
    record = message.SerializeToString()
    assert describe_record(record, Expected(SCHEMA, True, drawn)) is None


def test_drawn_frames_on_disk_are_for_evaluation_alone(files, tmp_path):
    drawn = FrameBudget("random_k", num_frames=3)
    cut(files, tmp_path / "out", drawn)
    reader = VideoReader(SCHEMA, shards_in(tmp_path / "out"), 16, budget=drawn)
    assert list(reader.read_once())
    with pytest.raises(BadRecordError, match="drawn from whole videos"):
        list(reader.read_shuffled(0, 0, 10))


def test_shards_have_their_sources_names_and_order(files, tmp_path):
    for count in (1, 5):
        written = cut(files, tmp_path / str(count), num_workers=count)
        assert written == {Path(file).name: True for file in files}
    assert contents_of(tmp_path / "1") == contents_of(tmp_path / "5")
    for file, shard in zip(files, shards_in(tmp_path / "1"), strict=True):
        ids, expected = (
            [decode_video(record, SCHEMA).id for record in read_records(name)]
            for name in (shard, file)
        )
        assert ids == expected


def test_a_list_that_is_no_feature_has_no_means(files, tmp_path):
    says = "record 0: the feature list 'times' is none of the features"
    with pytest.raises(BadRecordError, match=says):
        cut(files, tmp_path / "out", MEANS)


def test_sizes_are_counted(files, tmp_path):
    shards = BudgetShards(KeptFrames(SCHEMA, UNIFORM), files, tmp_path / "out")
    sizes = shards.write(lambda path, is_new: None, 2)
    lengths = [len(video.features["rgb"]) for video in VIDEOS]
    source_bytes = sum(os.path.getsize(file) for file in files)
    num_bytes = sum(map(len, contents_of(tmp_path / "out").values()))
    kept = sum(min(length, 3) for length in lengths)
    assert sizes == {
        "shards": 3,
        "videos": 40,
        "source_frames": sum(lengths),
        "frames": kept,
        "source_bytes": source_bytes,
        "bytes": num_bytes,
    }
    again = shards.write(lambda path, is_new: None, 2)
    assert describe_sizes(again, 1.0) == "every shard was there already"
    sizes = collections.Counter(
        shards=2,
        videos=3000,
        source_frames=900_000,
        frames=15_000,
        source_bytes=8_000_000,
        bytes=2_000_000,
    )
    assert describe_sizes(sizes, 2.0) == (
        "2 shards written: 3,000 videos, 900,000 frames to 15,000, 8.0 MB to "
        "2.0 MB (ratio 0.2500), 1,500 videos/s"
    )


def test_shards_of_the_same_sources_are_kept_and_described(files, tmp_path):
    folder = tmp_path / "out"
    cut(files[:2], folder)
    times = {name: os.stat(name).st_mtime_ns for name in shards_in(folder)}
    assert list(cut(files, folder).values()) == [False, False, True]
    relative = [os.path.relpath(file) for file in files]
    assert not any(cut(relative, folder).values())
    for name, changed in times.items():
        assert os.stat(name).st_mtime_ns == changed
    described = json.loads((folder / "budget_shards.json").read_text())
    assert described["settings"]["budget"]["num_frames"] == 3
    assert described["sources"] == {
        Path(file).name: {"file": file, "bytes": os.path.getsize(file)}
        for file in files
    }


def test_shard_of_a_changed_source_is_written_anew(files, tmp_path):
    folder = tmp_path / "out"
    cut(files, folder)
    write_records(Path(files[1]), [VIDEOS[5].serialize()] * 2)
    assert list(cut(files, folder).values()) == [False, True, False]
    assert len(messages_in(folder)) == 41


def hold_source(message):
    message.context.feature["source_frames"].int64_list.value.append(9)


def odd_list(message):
    del message.feature_lists.feature_list["times"].feature[1:]


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (hold_source, "it has the key 'source_frames', under which its source"),
        (odd_list, "the feature list 'times' has 1 entries and the video 11"),
    ],
)
def test_a_record_that_cannot_be_cut_is_named_and_its_file_not_written(
    tmp_path, spoil, says
):
    messages = list(MESSAGES)
    longest = max(VIDEOS, key=lambda video: len(video.features["rgb"]))
    messages[20] = whole_message(longest)
    spoil(messages[20])
    files = write_files(tmp_path / "whole", messages, BOUNDS)
    with pytest.raises(BadRecordError) as error:
        cut(files, tmp_path / "out", num_workers=1)
    assert str(error.value).startswith(f"{files[2]}, record 2: {says}")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "budget_shards.json",
        "v-0.tfrecord",
        "v-1.tfrecord",
    }


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"budget": FrameBudget("first_k", num_frames=3)},
            "budget selection='uniform_k', not 'first_k'",
        ),
        (
            {"schema": dataclasses.replace(SCHEMA, max_frames=8)},
            "schema max_frames=9, not 8",
        ),
    ],
)
def test_shards_of_other_settings_are_not_mixed(files, tmp_path, changes, says):
    folder = tmp_path / "out"
    cut(files[:1], folder)
    contents = contents_of(folder)
    with pytest.raises(ValueError, match=re.escape(says)):
        cut(files, folder, **changes)
    assert contents_of(folder) == contents
    Path(shards_in(folder)[0]).unlink()
    assert all(cut(files, folder, **changes).values())


def test_file_of_the_same_name_elsewhere_is_refused(files, tmp_path):
    others = write_files(tmp_path / "other", MESSAGES, BOUNDS)
    says = f"{files[1]} and {others[1]} have the same name, and so would their"
    with pytest.raises(ValueError, match=re.escape(says)):
        cut([*files[:2], others[1]], tmp_path / "out")
    cut(files, tmp_path / "out")
    says = f"was made of {files[0]}, not of {others[0]}: give another output_"
    with pytest.raises(ValueError, match=re.escape(says)):
        cut(others[:1], tmp_path / "out")


@pytest.mark.parametrize(
    ("budget", "says"),
    [
        (FrameBudget(), "every_n=1 keeps every frame"),
        (
            FrameBudget("segment_attention", num_frames=3),
            "segment_attention weighs frames as its network has learned",
        ),
        (
            FrameBudget(every_n=2, random_offset=True),
            "random_offset and fewest_frames take other frames",
        ),
        (
            FrameBudget("first_k", num_frames=3, fewest_frames=2),
            "random_offset and fewest_frames take other frames",
        ),
        (
            FrameBudget("first_k", num_frames=10),
            "frame_budget must be at most max_frames 9, got 10.",
        ),
    ],
)
def test_a_budget_without_fixed_frames_is_refused(budget, says):
    with pytest.raises(ValueError, match=says):
        KeptFrames(SCHEMA, budget)


def test_no_worker_is_refused(files, tmp_path):
    with pytest.raises(ValueError, match="num_workers must be 1 or more"):
        cut(files, tmp_path / "out", num_workers=0)
