"""Frames that are lists of floats, as records of other programs hold them."""

import collections
import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from distill.data.bad_records import BadRecordError, Expected
from distill.data.pipeline import VideoReader
from distill.data.reasons import REASONS
from distill.data.records import parse_records
from distill.data.segments import parse_segments
from distill.datasets.check.file_check import FileChecker
from distill.models.frame_budget import FrameBudget
from distill.settings.schema import make_schema
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
    tail = np.zeros((5, 5), np.float32)
    tail[: len(frames) - 10] = frames[10:]
    np.testing.assert_array_equal(parsed["frames"][2], tail)
    np.testing.assert_array_equal(
        parsed["frames"][:2], frames[:10].reshape(2, 5, 5)
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


MIXED = dataclasses.replace(FRAME_SCHEMA, float_features=("audio",))


def make_mixed_record(number, frames):
    """Returns a video whose rgb is bytes and whose audio is floats."""
    record = make_record(number, frames)
    lists = record.feature_lists.feature_list
    del lists["rgb"]
    for frame in frames:
        stored = to_bytes(frame[:3]).tobytes()
        lists["rgb"].feature.add().bytes_list.value.append(stored)
    return record


def to_bytes(values):
    return (np.abs(values) * 9).astype(np.uint8)


def mixed_numbers(frames):
    """Returns what is read of mixed frames: bytes in [-2, 2], floats."""
    rgb = to_bytes(frames[:, :3]) * (4 / 255) + 4 / 512 - 2
    return np.concatenate([rgb, frames[:, 3:]], axis=1)


def write_mixed(path, videos):
    records = [make_mixed_record(*pair) for pair in enumerate(videos)]
    return write_records(path, [each.SerializeToString() for each in records])


def test_bytes_beside_floats_are_read_as_their_numbers(tmp_path):
    videos = draw_frames()
    file = write_mixed(tmp_path / "a.tfrecord", videos)
    read = unbatch(VideoReader(MIXED, [file], 4).read_once())
    assert len(read) == len(videos)
    for found, frames in zip(read, videos, strict=True):
        kept = mixed_numbers(frames[: MIXED.max_frames])
        assert found["frames"].dtype == np.float32
        count = len(kept)
        np.testing.assert_allclose(found["frames"][:count], kept, atol=1e-6)
        assert not found["frames"][count:].any()


@pytest.mark.parametrize(
    ("budget", "rows"),
    [
        (FrameBudget(every_n=2), [[0], [2]]),
        (FrameBudget("last_k", num_frames=2), [[2], [3]]),
        (FrameBudget("segment_means", num_frames=2), [[0, 1], [2, 3]]),
    ],
)
def test_a_budget_keeps_frames_of_bytes_and_floats(budget, rows, tmp_path):
    (*_, frames) = draw_frames(4)
    file = write_mixed(tmp_path / "a.tfrecord", [frames, frames[:1]])
    long, short = unbatch(
        VideoReader(MIXED, [file], 2, budget=budget).read_once()
    )
    numbers = mixed_numbers(frames)
    expected = [numbers[row].mean(axis=0) for row in rows]
    np.testing.assert_allclose(long["frames"], expected, atol=1e-5)
    np.testing.assert_allclose(short["frames"][0], numbers[0], atol=1e-5)
    assert not short["frames"][short["num_frames"] :].any()


def test_segments_of_bytes_and_floats_are_cut():
    (frames,) = draw_frames(1)
    frames = np.concatenate([frames + n for n in range(7)])
    schema = dataclasses.replace(MIXED, max_frames=5, segment_labels=True)
    record = make_mixed_record(0, frames).SerializeToString()
    parsed = parse_segments(tf.constant(record), schema, need_labels=False)
    expected = np.zeros((2, 5, 5))
    expected[0], expected[1, :2] = np.split(mixed_numbers(frames), [5])
    np.testing.assert_allclose(parsed["frames"], expected, atol=1e-5)


def shorten_bytes(record):
    frame_of(record, "rgb").bytes_list.value[0] = b"xx"


def set_floats(record):
    frame_of(record, "rgb").float_list.value.extend([0.5, 1, 2])


MIXED_SPOILED = [
    (drop_value, "wrong width", "frame 1 of feature 'audio' has 1 floats inst"),
    (set_nan, "value not finite", "frame 1 of feature 'audio' holds the value"),
    (shorten_bytes, "wrong width", "frame 1 of feature 'rgb' has 2 bytes inst"),
    (set_floats, "", "frame 1 of feature 'rgb' is not one string of 3 bytes ("),
    (set_bytes, "", "frame 1 of feature 'audio' is a string, not a list of fl"),
    (shorten_audio, "feature lists of different lengths", "{'rgb': 5, 'audio'"),
]


@pytest.mark.parametrize(("spoil", "reason", "problem"), MIXED_SPOILED)
def test_a_bad_record_of_bytes_and_floats_is_named(
    spoil, reason, problem, tmp_path
):
    long = draw_frames()[4]
    records = [make_mixed_record(number, long) for number in range(3)]
    spoil(records[1])
    serialized = [each.SerializeToString() for each in records]
    file = write_records(tmp_path / "a.tfrecord", serialized)
    with pytest.raises(BadRecordError) as error:
        list(VideoReader(MIXED, [file], 4).read_once())
    assert str(error.value).startswith(f"{file}, record 1: ")
    assert problem in str(error.value)
    if reason:
        parsed = parse_records(tf.constant(serialized), MIXED, True)
        codes = parsed["reason"].numpy().tolist()
        assert codes == [0, REASONS.index(reason), 0]
    reader = VideoReader(MIXED, [file], 4, on_bad_record="skip")
    read = unbatch(reader.read_once())
    assert [each["id"] for each in read] == [b"v0", b"v2"]


def test_records_in_the_form_of_mediapipe_are_read(tmp_path):
    """The keys of its MediaSequence, with the other lists that it writes."""
    random = np.random.default_rng(0)
    frames = random.normal(0, 5, (7, 1152)).astype(np.float32)
    record = tf.train.SequenceExample()
    context = record.context.feature
    context["clip/data_path"].bytes_list.value.append(b"/videos/a.mp4")
    context["clip/start/timestamp"].int64_list.value.append(0)
    context["clip/label/index"].int64_list.value.extend([7, 3861])
    context["RGB/feature/dimensions"].int64_list.value.append(1024)
    lists = record.feature_lists.feature_list
    for second, frame in enumerate(frames):
        for name, values in (("RGB", frame[:1024]), ("AUDIO", frame[1024:])):
            floats = lists[f"{name}/feature/floats"].feature.add()
            floats.float_list.value.extend(values.tolist())
            times = lists[f"{name}/feature/timestamp"].feature.add()
            times.int64_list.value.append(second * 1_000_000)
    serialized = record.SerializeToString()
    file = write_records(tmp_path / "a.tfrecord", [serialized])
    schema = make_schema("mediapipe")
    (read,) = unbatch(VideoReader(schema, [file], 4).read_once())
    assert read["id"] == b"/videos/a.mp4"
    assert np.flatnonzero(read["labels"]).tolist() == [7, 3861]
    assert read["frames"].shape == (300, 1152)
    assert read["num_frames"] == 7
    np.testing.assert_array_equal(read["frames"][:7], frames)
