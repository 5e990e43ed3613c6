"""Frames that are lists of floats, as records of other programs hold them."""

import collections
import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from distill.data.bad_records import BadRecordError, Expected
from distill.data.pipeline import VideoReader
from distill.data.records import REASONS, parse_records
from distill.data.segments import parse_segments
from distill.datasets.check.file_check import FileChecker
from distill.models.frame_budget import FrameBudget
from tests.data.record_files import FRAME_SCHEMA, unbatch, write_records

SCHEMA = dataclasses.replace(FRAME_SCHEMA, float_frames=True)


def draw_frames(count=6):
    """Returns float32 `[frames, 5]` of 1 to 6 frames; 4 at most are read."""
    random = np.random.default_rng(0)
    return [
        random.normal(0, 9, (1 + number % 6, 5)).astype(np.float32)
        for number in range(count)
    ]


def make_record(number, frames):
    """Returns the message of a video: rgb of 3 and audio of 2 floats."""
    record = tf.train.SequenceExample()
    context = record.context.feature
    context["id"].bytes_list.value.append(f"v{number}".encode())
    context["labels"].int64_list.value.append(number % 5)
    lists = record.feature_lists.feature_list
    for frame in frames:
        for name, values in (("rgb", frame[:3]), ("audio", frame[3:])):
            lists[name].feature.add().float_list.value.extend(values.tolist())
    return record


def write_videos(path, videos):
    records = [make_record(*pair) for pair in enumerate(videos)]
    return write_records(path, [each.SerializeToString() for each in records])


@pytest.mark.parametrize("on_bad_record", ["fail", "skip"])
def test_floats_are_read_as_they_are_and_cut(on_bad_record, tmp_path):
    videos = draw_frames()
    file = write_videos(tmp_path / "a.tfrecord", videos)
    reader = VideoReader(SCHEMA, [file], 4, on_bad_record=on_bad_record)
    read = unbatch(reader.read_once())
    assert [each["id"] for each in read] == [b"v%d" % n for n in range(6)]
    for found, frames in zip(read, videos, strict=True):
        kept = frames[: SCHEMA.max_frames]
        assert found["frames"].dtype == np.float32
        assert found["num_frames"] == len(kept)
        np.testing.assert_array_equal(found["frames"][: len(kept)], kept)
        assert not found["frames"][len(kept) :].any()


@pytest.mark.parametrize(
    ("budget", "positions"),
    [
        (FrameBudget(every_n=2), [0, 2]),
        (FrameBudget("last_k", num_frames=2), [2, 3]),
        (FrameBudget("first_k", num_frames=3), [0, 1, 2]),
    ],
)
def test_a_budget_keeps_the_same_frames_as_of_bytes(
    budget, positions, tmp_path
):
    (*_, frames) = draw_frames(4)
    file = write_videos(tmp_path / "a.tfrecord", [frames, frames[:1]])
    reader = VideoReader(SCHEMA, [file], 2, budget=budget)
    long, short = unbatch(reader.read_once())
    np.testing.assert_array_equal(long["frames"], frames[positions])
    np.testing.assert_array_equal(short["frames"][0], frames[0])
    assert (long["num_frames"], short["num_frames"]) == (len(positions), 1)
    assert not short["frames"][1:].any()


def test_segments_of_floats_are_cut():
    (frames,) = draw_frames(1)
    frames = np.concatenate([frames + n for n in range(12)])
    schema = dataclasses.replace(SCHEMA, max_frames=5, segment_labels=True)
    record = make_record(0, frames).SerializeToString()
    parsed = parse_segments(tf.constant(record), schema, need_labels=False)
    np.testing.assert_array_equal(
        parsed["frames"], frames[:10].reshape(2, 5, 5)
    )


def frame_of(record, name="audio", index=1):
    return record.feature_lists.feature_list[name].feature[index]


def drop_value(record):
    del frame_of(record).float_list.value[1:]


def add_value(record):
    frame_of(record, "rgb").float_list.value.append(0.5)


def set_nan(record):
    frame_of(record).float_list.value[0] = np.nan


def set_infinity_behind(record):
    frame_of(record, index=4).float_list.value[1] = -np.inf


def clear_frame(record):
    frame_of(record).Clear()


def set_bytes(record):
    frame_of(record).bytes_list.value.append(b"xx")


def rename_audio(record):
    lists = record.feature_lists.feature_list
    lists["sound"].CopyFrom(lists["audio"])
    del lists["audio"]


def shorten_audio(record):
    del record.feature_lists.feature_list["audio"].feature[2:]


def remove_frames(record):
    record.ClearField("feature_lists")


SPOILED = [
    (drop_value, "wrong width", "frame 1 of feature 'audio' has 1 floats inst"),
    (add_value, "wrong width", "frame 1 of feature 'rgb' has 4 floats instead"),
    (clear_frame, "wrong width", "frame 1 of feature 'audio' has 0 floats"),
    (set_nan, "value not finite", "frame 1 of feature 'audio' holds the value"),
    (set_infinity_behind, "value not finite", "frame 4 of feature 'audio' hol"),
    (rename_audio, "missing feature", "no feature 'audio' (--feature_names)"),
    (shorten_audio, "feature lists of different lengths", "{'rgb': 5, 'audio'"),
    (remove_frames, "no frames", "no feature 'rgb' (--feature_names)"),
    (set_bytes, "", "frame 1 of feature 'audio' is a string, not a list of fl"),
]


@pytest.mark.parametrize(("spoil", "reason", "problem"), SPOILED)
def test_a_bad_record_is_named(spoil, reason, problem, tmp_path):
    videos = [*draw_frames(5)[::-1], *draw_frames(5)[::-1]]
    records = [make_record(*pair) for pair in enumerate(videos)]
    spoil(records[0])
    serialized = [each.SerializeToString() for each in records]
    file = write_records(tmp_path / "a.tfrecord", serialized)
    with pytest.raises(BadRecordError) as error:
        list(VideoReader(SCHEMA, [file], 4).read_once())
    assert str(error.value).startswith(f"{file}, record 0: ")
    assert problem in str(error.value)
    if reason:
        parsed = parse_records(tf.constant(serialized), SCHEMA, True)
        codes = parsed["reason"].numpy().tolist()
        assert codes == [REASONS.index(reason)] + 9 * [0]
    found = FileChecker(Expected(SCHEMA)).check(file)
    assert (found.num_good, found.bad.total()) == (9, 1)


def test_bad_records_are_left_out_and_counted(tmp_path, capsys):
    long = draw_frames()[4]
    records = [make_record(n, long) for n in range(len(SPOILED) + 2)]
    for record, (spoil, _, _) in zip(records[1:], SPOILED, strict=False):
        spoil(record)
    serialized = [each.SerializeToString() for each in records]
    file = write_records(tmp_path / "a.tfrecord", serialized)
    reader = VideoReader(SCHEMA, [file], 4, on_bad_record="skip")
    read = unbatch(reader.read_once())
    assert [each["id"] for each in read] == [b"v0", b"v10"]
    said = capsys.readouterr().out
    reasons = [reason or "unreadable" for _, reason, _ in SPOILED]
    for reason, count in collections.Counter(reasons).items():
        assert f"WARNING: skipped {count} records, {reason}; " in said


@pytest.mark.parametrize("budget", [FrameBudget(), FrameBudget(every_n=2)])
def test_floats_read_as_bytes_are_explained(budget, tmp_path):
    file = write_videos(tmp_path / "a.tfrecord", draw_frames())
    with pytest.raises(BadRecordError, match=r"\(--float_frames reads floats"):
        list(VideoReader(FRAME_SCHEMA, [file], 4, budget=budget).read_once())
