"""Segments are cut, rated, counted, gone on with and checked."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from distill.data.bad_records import BadRecordError
from distill.data.pipeline import VideoReader
from distill.data.segments import parse_segments
from distill.datasets.shards import to_sequence_example
from distill.settings.schema import make_schema
from tests.data.record_files import ids_of, unbatch, write_records
from tests.data.spoiled_records import append
from tests.golden import load_golden_arrays
from tests.segment_records import SCHEMA, RatedVideo, draw_rated_videos

# Without the fewer than five frames at a video's end.
WHOLE = dataclasses.replace(SCHEMA, segment_tails=False)


def write_videos(folder, sizes):
    """Writes a file of rated videos of each size; returns files and videos."""
    files, videos = [], []
    for index, size in enumerate(sizes):
        drawn = draw_rated_videos(size, index, "abcdef"[index])
        path = folder / f"{index}.tfrecord"
        files.append(write_records(path, [each.serialize() for each in drawn]))
        videos += drawn
    return files, videos


def make_video(num_frames, ratings, name="v"):
    frames = np.random.default_rng(3).integers(0, 256, (num_frames, 5))
    return RatedVideo(name, frames.astype(np.uint8), ratings)


def assert_segments_read(read, segments):
    """Checks that exactly these segments were read, in this order."""
    assert [each["id"] for each in read] == [each["id"] for each in segments]
    for each, segment in zip(read, segments, strict=True):
        assert each["frames"].dtype == np.uint8
        for name in ("labels", "label_weights"):
            assert each[name].dtype == bool
        for name, value in segment.items():
            np.testing.assert_array_equal(each[name], value, err_msg=name)


def rated_segments(videos):
    return [segment for video in videos for segment in video.rated_segments()]


@pytest.mark.parametrize(
    ("batch_size", "on_bad_record"), [(1, "fail"), (4, "skip"), (100, "fail")]
)
def test_read_once_yields_each_rated_segment_exactly_once(
    batch_size, on_bad_record, tmp_path
):
    files, videos = write_videos(tmp_path, [6, 1, 4])
    reader = VideoReader(SCHEMA, files, batch_size, on_bad_record=on_bad_record)
    batches = list(reader.read_once())
    expected = sorted(rated_segments(videos), key=lambda each: each["id"])
    read = sorted(unbatch(batches), key=lambda each: each["id"])
    assert_segments_read(read, expected)
    sizes = [len(batch["id"]) for batch in batches]
    assert all(size == batch_size for size in sizes[:-1])


def test_a_segment_that_the_end_of_the_video_cuts_is_padded():
    video = make_video(13, [(10, 2, 1.0), (5, 2, 0.0)])
    parsed = parse_segments(tf.constant(video.serialize()), SCHEMA, True)
    assert parsed["num_frames"].numpy().tolist() == [3, 5]
    frames = parsed["frames"].numpy()
    np.testing.assert_array_equal(frames[0, :3], video.frames[10:])
    assert not frames[0, 3:].any()
    np.testing.assert_array_equal(frames[1], video.frames[5:10])


@pytest.mark.parametrize("need_labels", [True, False])
def test_parsing_is_equal_traced_and_eager(need_labels):
    def parse(serialized):
        return parse_segments(serialized, SCHEMA, need_labels)

    bad = make_video(7, [(0, 99, 1.0)], "")
    in_graph = tf.function(parse)
    for video in [*draw_rated_videos(3), bad]:
        eager = parse(tf.constant(video.serialize()))
        traced = in_graph(tf.constant(video.serialize()))
        assert eager.keys() == traced.keys()
        for name in eager:
            np.testing.assert_array_equal(eager[name], traced[name])


SEGMENTS = {
    "whole ones": [
        *("v5:0", "v9:0", "v10:0", "v10:5", "v23:0", "v23:5", "v23:10"),
        "v23:15",
    ],
    "tails too": [
        *("v4:0", "v5:0", "v9:0", "v9:5", "v10:0", "v10:5", "v23:0", "v23:5"),
        *("v23:10", "v23:15", "v23:20", "v1:0"),
    ],
}


@pytest.mark.parametrize("read_ones", SEGMENTS)
def test_inference_reads_every_segment_of_every_video(read_ones, tmp_path):
    videos = [
        make_video(num_frames, [], f"v{num_frames}")
        for num_frames in (4, 5, 9, 10, 23, 1)
    ]
    file = write_records(tmp_path / "a", [v.serialize() for v in videos])
    schema = WHOLE if read_ones == "whole ones" else SCHEMA
    reader = VideoReader(schema, [file], 4, need_labels=False)
    read = unbatch(reader.read_once())
    expected = [segment for v in videos for segment in v.all_segments(schema)]
    assert_segments_read(read, expected)
    found = [each["id"].decode() for each in read]
    assert found == SEGMENTS[read_ones]


def test_segments_are_those_of_the_reference():
    """Exactly: frames, real frames, videos and start frames, in order."""
    golden = load_golden_arrays("segment_cut")
    videos, width = golden["frames"], golden["frames"].shape[-1]
    schema = dataclasses.replace(
        SCHEMA,
        feature_names=("rgb",),
        feature_sizes=(width,),
        float_frames=True,
    )
    parts = []
    lengths = golden["num_frames"]
    for index, (frames, length) in enumerate(zip(videos, lengths, strict=True)):
        record = to_sequence_example(str(index), [], {"rgb": frames[:length]})
        serialized = tf.constant(record.SerializeToString())
        parts.append(parse_segments(serialized, schema, need_labels=False))
    found = {
        key: np.concatenate([part[key] for part in parts])
        for key in ("frames", "num_frames", "id")
    }
    np.testing.assert_array_equal(found["frames"], golden["segment_frames"])
    np.testing.assert_array_equal(
        found["num_frames"], golden["segment_num_frames"]
    )
    assert [name.decode() for name in found["id"]] == [
        f"{index}:{start}" for index, start in golden["video_segment_ids"]
    ]


def test_inference_needs_no_ratings_and_looks_at_none(tmp_path):
    videos = draw_rated_videos(5)
    bare = [dataclasses.replace(v, ratings=[]) for v in videos]
    broken = [dataclasses.replace(v, ratings=[(999, 99, 9.0)]) for v in videos]
    found = []
    for name, group in (("a", videos), ("b", bare), ("c", broken)):
        file = write_records(tmp_path / name, [v.serialize() for v in group])
        reader = VideoReader(SCHEMA, [file], 3, need_labels=False)
        found.append(ids_of(reader.read_once()))
    assert found[0]
    assert found[0] == found[1] == found[2]


def test_videos_without_a_whole_segment_are_an_error(tmp_path):
    file = write_records(tmp_path / "a", [make_video(4, []).serialize()])
    reader = VideoReader(WHOLE, [file], 4, need_labels=False)
    with pytest.raises(BadRecordError, match=r"^No segment in 1 files: "):
        list(reader.read_once())


@pytest.mark.parametrize("buffer_size", [5, 1000])
def test_an_epoch_is_a_permutation_of_all_segments(buffer_size, tmp_path):
    files, videos = write_videos(tmp_path, [4, 3])
    expected = sorted(rated_segments(videos), key=lambda each: each["id"])
    reader = VideoReader(SCHEMA, files, 4)
    orders = []
    for epoch in (0, 1):
        read = unbatch(reader.read_shuffled(1, epoch, buffer_size))
        assert [e["position"] for e in read] == list(range(1, len(read) + 1))
        orders.append([each["id"] for each in read])
        read.sort(key=lambda each: each["id"])
        assert_segments_read(read, expected)
    assert orders[0] != orders[1]
    again = VideoReader(SCHEMA, files, 3).read_shuffled(1, 1, buffer_size)
    assert ids_of(again) == [name.decode() for name in orders[1]]


@pytest.mark.parametrize(
    ("buffer_size", "on_bad_record"), [(1, "fail"), (9, "skip")]
)
def test_a_second_reader_goes_on_amid_a_records_segments(
    buffer_size, on_bad_record, tmp_path
):
    files, videos = write_videos(tmp_path, [4, 2])
    if on_bad_record == "skip":
        bad = [b"not a proto", make_video(6, [(0, 99, 1.0)]).serialize()]
        good = [video.serialize() for video in videos[:4]]
        mixed = [good[0], bad[0], *good[1:3], bad[1], good[3]]
        write_records(tmp_path / "0.tfrecord", mixed)
    reader = VideoReader(SCHEMA, files, 3, on_bad_record=on_bad_record)
    batches = list(reader.read_shuffled(2, 3, buffer_size))
    total = len(rated_segments(videos))
    assert sum(len(batch["id"]) for batch in batches) == total
    amid = 0
    for done in range(1, len(batches)):
        last, following = batches[done - 1], batches[done]
        amid += ids_of([last])[-1][:4] == ids_of([following])[0][:4]
        rest = list(reader.read_shuffled(2, 3, buffer_size, 3 * done))
        assert int(last["position"][-1]) == 3 * done
        assert len(rest) == len(batches) - done
        for batch, other in zip(rest, batches[done:], strict=True):
            for name in batch:
                np.testing.assert_array_equal(batch[name], other[name])
    if buffer_size == 1:
        assert amid  # some batch did end between two segments of a record


def set_lists(**lists):
    """Returns what puts other values into lists of a record's context."""

    def spoil(message):
        for name, values in lists.items():
            feature = message.context.feature[f"segment_{name}"]
            feature.Clear()
            kind = "float_list" if name == "scores" else "int64_list"
            getattr(feature, kind).value.extend(values)

    return spoil


LISTS = ("start_times", "end_times", "labels", "scores")


def remove_keys(*keys):
    def spoil(message):
        for key in keys:
            del message.context.feature[key]

    return spoil


def remove_frames(message):
    for frames in message.feature_lists.feature_list.values():
        del frames.feature[:]


# What is done to a record, what is said of it, and the reason under which it
# is counted.
BAD = {
    "no lists": (
        remove_keys(*(f"segment_{name}" for name in LISTS)),
        "no rated segments under 'segment_start_times'",
        "no rated segments",
    ),
    "empty lists": (
        set_lists(**dict.fromkeys(LISTS, ())),
        "no rated segments under",
        "no rated segments",
    ),
    "a score missing": (
        set_lists(scores=[1.0]),
        "its segment lists differ in length: {'segment_start_times': 2, "
        "'segment_end_times': 2, 'segment_labels': 2, 'segment_scores': 1}",
        "segment lists of different lengths",
    ),
    "no ends": (
        set_lists(end_times=[]),
        "differ in length",
        "segment lists of different lengths",
    ),
    "label too great": (
        set_lists(labels=[0, 6]),
        "segment label 6 is outside the 6 classes (0 to 5, --num_classes)",
        "label outside the classes",
    ),
    "label below 0": (
        set_lists(labels=[-1, 0]),
        "segment label -1 is out",
        "label outside the classes",
    ),
    "score above 1": (
        set_lists(scores=[0.0, 1.5]),
        "segment score 1.5 is outside 0 to 1",
        "segment score outside 0 to 1",
    ),
    "score below 0": (
        set_lists(scores=[-1, 0]),
        "segment score -1.0 is",
        "segment score outside 0 to 1",
    ),
    "score not a number": (
        set_lists(scores=[float("nan"), 0]),
        "segment score nan is outside",
        "segment score outside 0 to 1",
    ),
    "another length": (
        set_lists(end_times=[5, 9]),
        "the segment from frame 5 to before 9 has 4 frames instead of 5",
        "segment of another length",
    ),
    "beyond the video": (
        set_lists(start_times=[0, 12], end_times=[5, 17]),
        "a segment starts at frame 12, outside the video's 12 frames",
        "segment outside the video",
    ),
    "before the video": (
        set_lists(start_times=[-5, 0], end_times=[0, 5]),
        "a segment starts at frame -5, outside the video's 12 frames",
        "segment outside the video",
    ),
    "no id": (remove_keys("id"), "no id under the key 'id'", "no id"),
    "no frames": (remove_frames, "a video with no frames", "no frames"),
    "float times": (
        append("segment_start_times", "float_list", 1.0),
        "the list 'segment_start_times' is a float_list, not of int64_list",
        "unreadable",
    ),
}


def bad_record(name):
    message = make_video(12, [(0, 1, 1.0), (5, 2, 0.0)]).message()
    BAD[name][0](message)
    return message.SerializeToString()


@pytest.mark.parametrize("name", BAD)
def test_a_bad_record_is_named(name, tmp_path):
    first, last = (video.serialize() for video in draw_rated_videos(2))
    file = write_records(tmp_path / "a", [first, bad_record(name), last])
    with pytest.raises(BadRecordError) as caught:
        list(VideoReader(SCHEMA, [file], 3).read_once())
    assert str(caught.value).startswith(f"{file}, record 1: ")
    assert BAD[name][1] in str(caught.value)


def bad_in_files():
    """Puts the bad records into few files: each names one a reason."""
    files = []
    for name, (_, _, reason) in BAD.items():
        fits = (held for held in files if reason not in held)
        held = next(fits, None)
        if held is None:
            files.append(held := {})
        held[reason] = name
    return files


@pytest.mark.parametrize("names", bad_in_files())
def test_bad_records_are_skipped_whole_and_reported(names, tmp_path, capsys):
    good = draw_rated_videos(len(names) + 1)
    records = [good[0].serialize()]
    for video, name in zip(good[1:], names.values(), strict=True):
        records += [bad_record(name), video.serialize()]
    file = write_records(tmp_path / "a.tfrecord", records)
    reader = VideoReader(SCHEMA, [file], 3, on_bad_record="skip")
    assert_segments_read(unbatch(reader.read_once()), rated_segments(good))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(names)
    for index, (reason, name) in enumerate(names.items()):
        example = f"{reason}; for example {file}, record {2 * index + 1}: "
        (line,) = (each for each in lines if example in each)
        assert line.startswith(f"WARNING: skipped 1 records, {example}")
        assert BAD[name][1] in line


def test_the_number_of_segments_of_few_records_is_exact(tmp_path):
    video = make_video(23, [(0, 1, 1.0), (5, 1, 1.0), (0, 2, 0.0)])
    file = write_records(tmp_path / "a", [video.serialize()] * 30)
    assert VideoReader(SCHEMA, [file], 4).estimate_num_examples() == 60
    unrated = VideoReader(SCHEMA, [file], 4, need_labels=False)
    assert unrated.estimate_num_examples() == 150
    whole = dataclasses.replace(unrated, schema=WHOLE)
    assert whole.estimate_num_examples() == 120
    assert unrated.estimate_num_records() == 30


def test_a_presets_segments_have_five_frames():
    schema = make_schema("yt8m_2018", segment_labels=True)
    assert (schema.segment_labels, schema.max_frames) == (True, 5)
    assert make_schema("yt8m_2018").segment_labels is False


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"max_frames": 300},
            "max_frames must be 5, a segment's frames",
        ),
        ({"frame_features": False}, "segment_labels needs frame-level records"),
    ],
)
def test_a_layout_without_segments_is_an_error(fields, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SCHEMA, **fields)
