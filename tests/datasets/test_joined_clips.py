"""Videos made of clips: every clip, its frames, labels and where they are."""

import dataclasses
import json
import os
import re
import resource
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from distill.data.bad_records import BadRecordError
from distill.data.pipeline import VideoReader
from distill.datasets.joined_clips import JoinedVideos
from distill.settings.join import JoinSettings
from tests.data.record_files import (
    FRAME_SCHEMA,
    Video,
    assert_videos_read,
    decode_video,
    draw_videos,
    read_records,
    unbatch,
    write_records,
)
from tests.datasets.written_shards import contents_of, write_files

# Clips of 1 to 6 frames, none of which is cut.
SCHEMA = dataclasses.replace(FRAME_SCHEMA, max_frames=6)
CLIPS = draw_videos(FRAME_SCHEMA, 23, seed=1, prefix="clip")
SETTINGS = JoinSettings(SCHEMA, "train", num_clips=4, num_shards=3, seed=5)


@pytest.fixture
def files(tmp_path):
    """Three files of the 23 clips."""
    bounds = [(0, 9), (9, 10), (10, 23)]
    return write_files(
        tmp_path / "clips", [clip.message() for clip in CLIPS], bounds
    )


def join(files, folder, **changes):
    """Returns the joined videos, not yet written."""
    settings = dataclasses.replace(SETTINGS, **changes)
    return JoinedVideos(settings, files, folder)


def write(files, folder, **changes):
    """Writes the joined videos; returns what `write` yields."""
    return list(join(files, folder, **changes).write())


def records_of(shards):
    return [record for path, _ in shards for record in read_records(path)]


def clip_lists(records):
    """Returns each record's clips, found by their ids, and their frames."""
    found = []
    by_id = {clip.id.encode(): clip for clip in CLIPS}
    for record in records:
        message = tf.train.SequenceExample.FromString(record)
        context = message.context.feature
        clips = [by_id[name] for name in context["clip_ids"].bytes_list.value]
        found.append((clips, list(context["clip_frames"].int64_list.value)))
    return found


def expected_videos(settings, clips=CLIPS):
    """Joins clips in NumPy, by the orders of the documented generator."""
    videos = []
    for each in range(settings.repeats):
        order = np.random.default_rng([settings.seed, each]).permutation(
            len(clips)
        )
        for start in range(0, len(clips), settings.num_clips):
            chosen = [clips[i] for i in order[start:][: settings.num_clips]]
            labels = set.union(*[set(clip.labels) for clip in chosen])
            features = {
                name: np.concatenate(
                    [
                        clip.features[name][: settings.schema.max_frames]
                        for clip in chosen
                    ]
                )
                for name in ("rgb", "audio")
            }
            videos.append(Video("", sorted(labels), features))
    return videos


def assert_joined(records, settings):
    """Checks that records hold the videos joined in NumPy, in their order."""
    for record, expected in zip(
        records, expected_videos(settings), strict=True
    ):
        video = decode_video(record, settings.schema)
        assert video.labels == expected.labels
        for name, frames in expected.features.items():
            np.testing.assert_array_equal(video.features[name], frames)
        lists = tf.train.SequenceExample.FromString(record).feature_lists
        assert set(lists.feature_list) == {"rgb", "audio"}


@pytest.mark.parametrize("repeats", [1, 3])
@pytest.mark.parametrize(
    ("num_clips", "seed"), [(1, 5), (4, 5), (4, 6), (23, 5), (40, 5)]
)
def test_order_is_numpy_s_of_seed_and_pass(
    num_clips, seed, repeats, files, tmp_path
):
    changes = {"num_clips": num_clips, "seed": seed, "repeats": repeats}
    settings = dataclasses.replace(SETTINGS, **changes)
    records = records_of(write(files, tmp_path, **changes))
    assert_joined(records, settings)
    several = 0
    for clips, num_frames in clip_lists(records):
        assert num_frames == [len(clip.features["rgb"]) for clip in clips]
        every = [label for clip in clips for label in clip.labels]
        several += len(set(every)) < len(every)
    assert several  # labels that two clips share, or one lists twice


def test_ids_differ_between_videos_splits_and_seeds(files, tmp_path):
    ids = []
    for index, changes in enumerate(
        [{"repeats": 3}, {"output_prefix": "validate"}, {"seed": 6}]
    ):
        records = records_of(write(files, tmp_path / str(index), **changes))
        ids += [decode_video(record, SCHEMA).id for record in records]
    assert ids[0] == "train-4clips-seed5-pass0-0000000"
    assert ids[7] == "train-4clips-seed5-pass1-0000001"
    assert len(set(ids)) == len(ids) == 5 * 6


@pytest.mark.parametrize("num_shards", [1, 2, 6, 9])
def test_videos_do_not_depend_on_the_number_of_shards(
    files, tmp_path, num_shards
):
    expected = records_of(write(files, tmp_path / "a"))
    shards = write(files, tmp_path / "b", num_shards=num_shards)
    assert [path.name for path, _ in shards] == [
        f"train-{index:05d}-of-{num_shards:05d}.tfrecord"
        for index in range(num_shards)
    ]
    assert records_of(shards) == expected


def test_joined_videos_are_read_as_any_others(files, tmp_path):
    shards = write(files, tmp_path / "out", repeats=2)
    schema = dataclasses.replace(SCHEMA, max_frames=4 * 6)
    reader = VideoReader(schema, [str(path) for path, _ in shards], 5)
    read = sorted(unbatch(reader.read_once()), key=lambda video: video["id"])
    videos = expected_videos(dataclasses.replace(SETTINGS, repeats=2))
    for video, each in zip(videos, read, strict=True):
        video.id = each["id"].decode()
    assert_videos_read(read, videos, schema)


def test_other_keys_names_and_widths_are_kept(tmp_path):
    schema = dataclasses.replace(
        SCHEMA, feature_names=("rgb",), feature_sizes=(3,), id_key="name"
    )
    records = [clip.serialize("name") for clip in CLIPS]
    files = [write_records(tmp_path / "clips", records)]
    for record in records_of(write(files, tmp_path / "out", schema=schema)):
        message = tf.train.SequenceExample.FromString(record)
        assert set(message.feature_lists.feature_list) == {"rgb"}
        assert set(message.context.feature) == {
            "name",
            "labels",
            "clip_ids",
            "clip_frames",
        }


def test_clips_are_cut_to_max_frames_and_counted(files, tmp_path):
    schema = dataclasses.replace(SCHEMA, max_frames=3)
    settings = dataclasses.replace(SETTINGS, schema=schema)
    joined = JoinedVideos(settings, files, tmp_path)
    records = records_of(joined.write())
    assert_joined(records, settings)
    for clips, num_frames in clip_lists(records):
        lengths = [len(clip.features["rgb"]) for clip in clips]
        assert num_frames == [min(length, 3) for length in lengths]
    long = sum(len(clip.features["rgb"]) > 3 for clip in CLIPS)
    assert 0 < long < len(CLIPS)
    assert joined.summarize()[-1] == (
        f"{long} clips were cut to --max_frames=3"
    )


def test_summary_says_how_many_and_how_long(files, tmp_path):
    videos = expected_videos(SETTINGS)
    frames = [len(video.features["rgb"]) for video in videos]
    labels = [len(video.labels) for video in videos]
    assert join(files, tmp_path).summarize() == [
        f"23 clips, 6 videos: {min(frames)} to {max(frames)} frames, on "
        f"average {sum(frames) / 6:.1f}, with {sum(labels) / 6:.2f} labels on "
        "average",
        "the last video of each pass has only 3 clips",
    ]
    assert len(join(files, tmp_path, num_clips=23).summarize()) == 1


def test_changed_inputs_write_every_shard_anew(files, tmp_path):
    write(files, tmp_path / "a")
    assert all(done for _, done in write(files[:2], tmp_path / "a"))
    write_records(Path(files[1]), [CLIPS[3].serialize()] * 2)
    assert all(done for _, done in write(files[:2], tmp_path / "a"))
    write(files[:2], tmp_path / "b")
    assert contents_of(tmp_path / "a") == contents_of(tmp_path / "b")


def test_splits_lie_beside_each_other(files, tmp_path):
    write(files, tmp_path)
    write(files, tmp_path, output_prefix="train-long", num_shards=1)
    assert not any(written for _, written in write(files, tmp_path))
    write(files, tmp_path, seed=8)
    assert (tmp_path / "train-long-00000-of-00001.tfrecord").exists()
    described = json.loads((tmp_path / "joined_train.json").read_text())
    assert described["seed"] == 8
    assert described["inputs"] == {
        file: Path(file).stat().st_size for file in files
    }


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda path, old: path.write_bytes(old.swapcase()),
            "the file changed ",
        ),
        (lambda path, old: path.write_bytes(old[:-20]), "the file changed "),
        (lambda path, old: path.write_bytes(b""), "reached end of file."),
        (lambda path, old: path.unlink(), ""),
    ],
    ids=["other bytes", "fewer bytes", "none", "gone"],
)
def test_file_that_changes_meanwhile_is_named(files, tmp_path, change, says):
    written = join(files, tmp_path / "out").write()
    path = Path(files[1])
    change(path, path.read_bytes())
    place = re.escape(f"{path}, record 0: {says}")
    with pytest.raises(BadRecordError, match=f"^{place}"):
        list(written)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"num_clips": 0}, "num_clips must be 1 or more, got 0."),
        ({"num_shards": 0}, "num_shards must be 1 or more, got 0."),
        ({"repeats": 0}, "repeats must be 1 or more, got 0."),
        ({"seed": -1}, "seed must be 0 or more, got -1."),
        ({"output_prefix": ""}, "output_prefix must be made of letters"),
        ({"output_prefix": "a/b"}, "digits, _, - and ., got 'a/b'."),
    ],
)
def test_settings_that_join_nothing_are_refused(changes, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        dataclasses.replace(SETTINGS, **changes)


def test_more_files_than_may_be_open_are_joined(tmp_path):
    most, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    clip = CLIPS[0].serialize()
    files = [
        write_records(tmp_path / f"clip-{index}", [clip]) for index in range(50)
    ]
    opened = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (opened + 30, hard))
    try:
        records = records_of(write(files, tmp_path / "out"))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    assert sum(len(clips) for clips, _ in clip_lists(records)) == 50
