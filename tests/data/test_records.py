"""Records are parsed to the values they hold, eagerly and traced."""

import dataclasses

import pytest
import tensorflow as tf

from distill.data import records
from distill.data.pipeline import VideoReader
from distill.data.records import parse_record
from distill.settings.schema import make_schema
from tests.data.mutations import encode_field
from tests.data.record_files import (
    FRAME_SCHEMA,
    SCHEMAS,
    assert_video_read,
    assert_videos_read,
    context_of,
    decode_video,
    draw_videos,
    read_records,
    shared_file,
    unbatch,
)

MODES = ("eager", "traced")
LEVELS = ("frame", "video")


def parse(serialized, schema, mode, need_labels=True):
    """Parses one record, eagerly or traced, and returns NumPy values."""

    def parser(record):
        return parse_record(record, schema, need_labels)

    if mode == "traced":
        parser = tf.function(
            parser, input_signature=[tf.TensorSpec([], tf.string)]
        )
    parsed = parser(tf.constant(serialized))
    return {name: value.numpy() for name, value in parsed.items()}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("level", LEVELS)
def test_record_is_parsed_to_the_arrays_it_was_made_of(level, mode):
    schema = SCHEMAS[level]
    for video in draw_videos(schema, 8, seed=1):
        read = parse(video.serialize(), schema, mode)
        assert read["reason"] == records.GOOD
        assert_video_read(read, video, schema)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(
    "labels", [[0], [4], [3, 1], [1, 1, 3, 1], [4, 2, 0, 1, 3]]
)
def test_labels_become_multi_hot_once_each(labels, level, mode):
    schema = SCHEMAS[level]
    video = draw_videos(schema, 1)[0]
    video.labels = labels
    read = parse(video.serialize(), schema, mode)
    assert read["reason"] == records.GOOD
    assert_video_read(read, video, schema)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("missing", ["empty list", "no key"])
def test_unlabelled_record_is_good_where_labels_are_not_needed(
    missing, level, mode
):
    schema = SCHEMAS[level]
    video = draw_videos(schema, 1)[0]
    video.labels = []
    message = video.message()
    if missing == "no key":
        del context_of(message)["labels"]
    read = parse(message.SerializeToString(), schema, mode, need_labels=False)
    assert read["reason"] == records.GOOD
    assert_video_read(read, video, schema)


def test_labels_that_are_not_packed_are_read():
    video = draw_videos(FRAME_SCHEMA, 1)[0]
    message = video.message()
    del message.context.feature["labels"]
    # One varint after the other.
    labels = encode_field(2, encode_field(3, bytes([0x08, 1, 0x08, 4])))
    entry = encode_field(1, encode_field(1, b"labels") + labels)
    context = encode_field(1, message.context.SerializeToString() + entry)
    message.ClearField("context")
    serialized = context + message.SerializeToString()
    video.labels = decode_video(serialized, FRAME_SCHEMA).labels
    assert video.labels == [1, 4]
    read = parse(serialized, FRAME_SCHEMA, "eager")
    assert read["reason"] == records.GOOD
    assert_video_read(read, video, FRAME_SCHEMA)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("level", LEVELS)
def test_keys_may_have_other_names_and_further_keys_are_ignored(level, mode):
    schema = dataclasses.replace(
        SCHEMAS[level], id_key="video_id", labels_key="classes"
    )
    video = draw_videos(schema, 1, seed=3)[0]
    message = video.message("video_id", "classes")
    context = context_of(message)
    context["start_time_seconds"].float_list.value.append(30.0)
    context["id"].bytes_list.value.append(b"another")
    context["labels"].int64_list.value.append(77)
    read = parse(message.SerializeToString(), schema, mode)
    assert read["reason"] == records.GOOD
    assert_video_read(read, video, schema)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("chosen", [[0], [1], [1, 0]])
def test_the_named_features_are_read_in_their_order(chosen, level, mode):
    both = SCHEMAS[level]
    video = draw_videos(both, 1, seed=4)[0]
    schema = dataclasses.replace(
        both,
        feature_names=tuple(both.feature_names[i] for i in chosen),
        feature_sizes=tuple(both.feature_sizes[i] for i in chosen),
    )
    read = parse(video.serialize(), schema, mode)
    assert read["reason"] == records.GOOD
    assert_video_read(read, video, schema)


@pytest.mark.parametrize("level", LEVELS)
def test_traced_values_have_static_shapes(level):
    schema = SCHEMAS[level]
    dataset = tf.data.Dataset.from_tensors(b"").map(
        lambda record: parse_record(record, schema, True)
    )
    expected = {
        "reason": tf.TensorSpec([], tf.int32),
        "id": tf.TensorSpec([], tf.string),
        "labels": tf.TensorSpec([5], tf.bool),
    }
    if level == "frame":
        expected["frames"] = tf.TensorSpec([4, 5], tf.uint8)
        expected["num_frames"] = tf.TensorSpec([], tf.int32)
    else:
        expected["features"] = tf.TensorSpec([5], tf.float32)
    assert dataset.element_spec == expected


@pytest.mark.parametrize(
    ("name", "preset", "level"),
    [
        ("yt8m_frame/SjJ3.tfrecord", "yt8m_2018", "frame"),
        ("yt8m_video/train0000.tfrecord", "yt8m_2018", "video"),
        (
            "audioset/validate-00000-of-00003.tfrecord",
            "audioset",
            "frame",
        ),
    ],
)
def test_real_shard_equals_an_independent_decoding(name, preset, level):
    file = shared_file(name)
    schema = make_schema(preset, frame_features=level == "frame")
    videos = [decode_video(each, schema) for each in read_records(file)]
    assert videos
    read = unbatch(VideoReader(schema, [str(file)], 256).read_once())
    assert_videos_read(read, videos, schema)


def test_audioset_train_split_has_all_its_clips():
    files = sorted(
        shared_file("audioset/train-00000-of-00006.tfrecord").parent.glob(
            "train-*"
        )
    )
    assert sum(len(read_records(file)) for file in files) == 22160
    reader = VideoReader(make_schema("audioset"), list(map(str, files)), 1024)
    sizes = [len(batch["id"]) for batch in reader.read_once()]
    assert sizes == [1024] * 21 + [22160 - 21 * 1024]
