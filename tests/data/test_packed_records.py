"""Packed records: read as the records of frames they were, bit for bit."""

import dataclasses
import re

import numpy as np
import pytest
import tensorflow as tf

from distill.data.bad_records import BadRecordError
from distill.data.bootstrap import bootstrap_key
from distill.data.kept_frames import BUDGET_KEY
from distill.data.pipeline import VideoReader
from distill.data.record_forms import pack_frames, unpack_frames
from distill.data.tfrecords import order_of_records
from distill.models.frame_budget import ALL_FRAMES, FrameBudget
from tests.data.mutations import encode_field, encode_number
from tests.data.record_files import (
    FRAME_SCHEMA,
    assert_same_batches,
    assert_videos_read,
    context_of,
    draw_videos,
    ids_of,
    pack_message,
    unbatch,
    write_records,
)
from tests.data.spoiled_records import draw_good, rename
from tests.data.test_float_frames import make_record
from tests.memory_growth import memory_grows_by_at_most
from tests.segment_records import SCHEMA as SEGMENTS
from tests.segment_records import draw_rated_videos

FLOATS = dataclasses.replace(FRAME_SCHEMA, float_frames=True)
MIXED = dataclasses.replace(FRAME_SCHEMA, float_features=("audio",))
BUDGETS = [
    ALL_FRAMES,
    FrameBudget.every(2),
    FrameBudget("uniform_k", num_frames=3),
    FrameBudget("uniform_k", num_frames=2, random_offset=True),
    FrameBudget("random_k", num_frames=2),
    FrameBudget("segment_means", num_frames=2),
]
FORMS = ("packed", "mixed", "packed first")
SIZES = (7, 1, 5)


def with_forms(name, values, ids=str):
    """Parametrises a test by half the values, of one form each; slowly all."""
    return pytest.mark.parametrize(
        (name, "form"),
        [
            pytest.param(
                value,
                form,
                id=f"{ids(value)}-{form}",
                marks=[pytest.mark.slow] * (number % 2 or place != number % 3),
            )
            for number, value in enumerate(values)
            for place, form in enumerate(FORMS)
        ],
    )


def write_forms(folder, messages, schema):
    """Writes the messages in files of one form, and of both.

    Returns:
      The files of `frames`, and of each of `FORMS`.
    """
    plain = [message.SerializeToString() for message in messages]
    packed = []
    for message in messages:
        copy = tf.train.SequenceExample()
        copy.CopyFrom(message)
        packed.append(pack_message(copy, schema).SerializeToString())
    both = list(zip(plain, packed, strict=True))
    forms = {
        "frames": plain,
        "packed": packed,
        "mixed": [pair[n % 3 == 1] for n, pair in enumerate(both)],
        "packed first": [pair[n < 6] for n, pair in enumerate(both)],
    }
    files = {}
    for form, records in forms.items():
        ends = np.cumsum(SIZES)
        files[form] = [
            write_records(folder / f"{form} {end}", records[end - size : end])
            for size, end in zip(SIZES, ends, strict=True)
        ]
    return files


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    videos = draw_videos(FRAME_SCHEMA, sum(SIZES))
    messages = [video.message() for video in videos]
    return write_forms(tmp_path_factory.mktemp("forms"), messages, FRAME_SCHEMA)


def read_chosen(reader):
    """Reads the batches from the second on."""
    order = order_of_records(SIZES)
    first = np.bincount(order[: reader.batch_size], minlength=len(SIZES))
    return reader.read_chosen(order[reader.batch_size :], first)


READS = {
    "once": lambda reader: reader.read_once(),
    "turn": lambda reader: reader.read_once((1, 2)),
    "chosen": read_chosen,
    "shuffled": lambda reader: reader.read_shuffled(1, 2, 6),
    "resumed": lambda reader: reader.read_shuffled(1, 2, 6, 4),
    "stream": lambda reader: reader.read_shuffled(1, 2, 6, 0, (1, 2)),
}
OPTIONS = {
    "skip": {"on_bad_record": "skip"},
    "min_frames": {"min_frames": 3},
    "bootstrap": {"bootstrap_key": bootstrap_key(0)},
    "share": {"share": 0.6},
    "draws": {"num_draws": 2},
}


@with_forms("budget", BUDGETS, lambda budget: budget.name)
def test_every_budget_reads_the_same_of_both_forms(files, budget, form):
    for name in ("once", "shuffled"):
        expected, found = (
            READS[name](VideoReader(FRAME_SCHEMA, each, 4, budget=budget))
            for each in (files["frames"], files[form])
        )
        assert_same_batches(found, expected)


@with_forms("read", READS)
def test_every_pass_reads_the_same_of_both_forms(files, read, form):
    expected, found = (
        READS[read](VideoReader(FRAME_SCHEMA, each, 4))
        for each in (files["frames"], files[form])
    )
    assert_same_batches(found, expected)


@with_forms("option", OPTIONS)
def test_every_option_reads_the_same_of_both_forms(files, option, form):
    expected, found = (
        VideoReader(
            FRAME_SCHEMA, each, 4, budget=BUDGETS[2], **OPTIONS[option]
        ).read_shuffled(1, 2, 6)
        for each in (files["frames"], files[form])
    )
    assert_same_batches(found, expected)


def test_a_list_of_files_of_both_forms_is_read(files):
    videos = draw_videos(FRAME_SCHEMA, sum(SIZES))
    both = [files["frames"][0], files["packed"][1], files["frames"][2]]
    read = unbatch(VideoReader(FRAME_SCHEMA, both, 4).read_once())
    read.sort(key=lambda video: video["id"])
    assert_videos_read(read, videos, FRAME_SCHEMA)


@with_forms("schema", [FLOATS, MIXED], lambda schema: schema.float_frames)
def test_packed_floats_are_read_as_lists_of_floats(schema, form, tmp_path):
    random = np.random.default_rng(0)
    messages = []
    for number in range(sum(SIZES)):
        frames = random.normal(0, 9, (1 + number % 6, 5)).astype(np.float32)
        message = make_record(number, frames)
        for frame in message.feature_lists.feature_list["rgb"].feature:
            if schema is MIXED:
                frame.bytes_list.value.append(random.bytes(3))
        messages.append(message)
    written = write_forms(tmp_path, messages, schema)
    for budget in (ALL_FRAMES, BUDGETS[2], BUDGETS[5]):
        expected, found = (
            VideoReader(schema, each, 4, budget=budget).read_once()
            for each in (written["frames"], written[form])
        )
        assert_same_batches(found, expected)


@with_forms("need_labels", [True, False])
def test_segments_are_read_of_packed_videos(form, need_labels, tmp_path):
    videos = draw_rated_videos(sum(SIZES), 1)
    written = write_forms(tmp_path, [v.message() for v in videos], SEGMENTS)
    expected, found = (
        VideoReader(SEGMENTS, each, 4, need_labels).read_shuffled(0, 0, 5)
        for each in (written["frames"], written[form])
    )
    assert_same_batches(found, expected)


@with_forms("budget", [BUDGETS[2], BUDGETS[5]], lambda budget: budget.name)
def test_packed_records_hold_the_frames_of_a_budget_alone(
    form, budget, tmp_path
):
    messages = []
    for video in draw_videos(FRAME_SCHEMA, sum(SIZES)):
        for name, frames in video.features.items():
            video.features[name] = frames[: budget.num_frames]
        message = video.message()
        held = context_of(message)[BUDGET_KEY].bytes_list.value
        held.append(budget.name.encode())
        messages.append(message)
    written = write_forms(tmp_path, messages, FRAME_SCHEMA)
    expected, found = (
        VideoReader(FRAME_SCHEMA, each, 4, budget=budget).read_once()
        for each in (written["frames"], written[form])
    )
    assert_same_batches(found, expected)
    reader = VideoReader(FRAME_SCHEMA, written[form], 4)
    with pytest.raises(BadRecordError, match=f"frames {budget.name} alone"):
        list(reader.read_once())


def test_the_two_ways_between_the_forms_lose_nothing():
    for number in range(1, 5):
        frames = np.random.default_rng(number).random((number, 5), np.float32)
        frames[0, :2] = -0.0, 1e-45
        for schema, message in (
            (FLOATS, make_record(number, frames)),
            (FRAME_SCHEMA, draw_videos(FRAME_SCHEMA, 1, number)[0].message()),
        ):
            lists = message.feature_lists.feature_list
            lists["times"].feature.add().int64_list.value.append(7)
            before = message.SerializeToString(deterministic=True)
            expected = tf.train.SequenceExample.FromString(before)
            pack_frames(message, schema.feature_names)
            assert message == pack_message(expected, schema)
            unpack_frames(message, schema)
            assert message.SerializeToString(deterministic=True) == before


def set_value(name, *values):
    """Returns what replaces a packed value."""

    def spoil(message):
        held = context_of(message)[name].bytes_list.value
        del held[:]
        held.extend(values)

    return spoil


def set_number(message):
    context_of(message)["rgb"].int64_list.value.append(1)


BAD = {
    "length no multiple": (
        set_value("audio", b"abcde"),
        "wrong width",
        "the packed feature 'audio' has 5 bytes, no multiple of the 2 of a "
        "frame (--feature_sizes)",
    ),
    "other numbers of frames": (
        set_value("audio", b"abcd"),
        "feature lists of different lengths",
        "its features differ in their number of frames: {'rgb': 3, 'audio': 2}",
    ),
    "feature missing": (
        rename("audio", "sound"),
        "missing feature",
        "no packed feature 'audio' (--feature_names); packed are ['rgb']",
    ),
    "feature empty": (
        set_value("audio", b""),
        "missing feature",
        "no packed feature 'audio' (--feature_names); packed are ['rgb']",
    ),
    "two values": (
        set_value("rgb", b"abc", b"abc"),
        None,
        "the context's value under 'rgb', where packed frames lie, is not one "
        "string",
    ),
    "numbers": (
        set_number,
        None,
        "the context's value under 'rgb', where packed frames lie, is not one "
        "string",
    ),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize(
    "first", [pytest.param(True, marks=pytest.mark.slow), False]
)
def test_bad_packed_records_are_named_and_left_out(
    name, first, tmp_path, capsys
):
    spoil, reason, says = BAD[name]
    messages = [
        pack_message(video.message(), FRAME_SCHEMA)
        for video in draw_good(FRAME_SCHEMA, 4)
    ]
    spoil(messages[0 if first else 2])
    records = [message.SerializeToString() for message in messages]
    file = write_records(tmp_path / "bad.tfrecord", records)
    place = f"{file}, record {0 if first else 2}: {says}"
    with pytest.raises(BadRecordError, match=re.escape(place)):
        list(VideoReader(FRAME_SCHEMA, [file], 3).read_once())
    reader = VideoReader(FRAME_SCHEMA, [file], 3, on_bad_record="skip")
    kept = ["v001", "v002", "v003"] if first else ["v000", "v001", "v003"]
    assert ids_of(reader.read_once()) == kept
    line = capsys.readouterr().out
    assert f"skipped 1 records, {reason or 'unreadable'}; " in line
    assert place in line


@pytest.mark.parametrize("on_bad_record", ["fail", "skip"])
def test_a_packed_float_that_is_not_finite_is_named(
    on_bad_record, tmp_path, capsys
):
    frames = np.zeros((6, 5), np.float32)
    frames[5, 1] = np.nan  # beyond max_frames
    message = pack_message(make_record(0, frames), FLOATS)
    good = pack_message(make_record(1, frames[:5]), FLOATS)
    records = [each.SerializeToString() for each in (good, message)]
    file = write_records(tmp_path / "nan.tfrecord", records)
    reader = VideoReader(FLOATS, [file], 2, on_bad_record=on_bad_record)
    if on_bad_record == "skip":
        assert ids_of(reader.read_once()) == ["v1"]
        assert "1 records, value not finite" in capsys.readouterr().out
        return
    says = "record 1: frame 5 of feature 'rgb' holds the value nan"
    with pytest.raises(BadRecordError, match=says):
        list(reader.read_once())


def test_lists_beside_packed_frames_are_not_read(tmp_path):
    videos = draw_good(FRAME_SCHEMA, 2)
    packed = [pack_message(v.message(), FRAME_SCHEMA) for v in videos]
    other = draw_good(FRAME_SCHEMA, 1, seed=9)[0].message()
    packed[1].feature_lists.CopyFrom(other.feature_lists)
    for order in (1, -1):
        records = [each.SerializeToString() for each in packed[::order]]
        file = write_records(tmp_path / "both.tfrecord", records)
        for mode in ("fail", "skip"):
            reader = VideoReader(FRAME_SCHEMA, [file], 2, on_bad_record=mode)
            read = unbatch(reader.read_once())
            assert_videos_read(read, videos[::order], FRAME_SCHEMA)


@pytest.mark.parametrize("contents", [b"", b"no record", b"\xff" * 20])
def test_a_damaged_first_file_is_named_as_ever(contents, files, tmp_path):
    path = tmp_path / "damaged"
    path.write_bytes(contents)
    reader = VideoReader(FRAME_SCHEMA, [str(path), *files["packed"]], 4)
    if not contents:
        assert len(ids_of(reader.read_once())) == sum(SIZES)
        return
    says = f"{path}, record 0: the file is truncated or corrupt there"
    with pytest.raises(BadRecordError, match=re.escape(says)):
        list(reader.read_once())


def test_a_packed_string_takes_no_memory_by_its_length(tmp_path):
    """It states up to 4 GB, of which the record has 40 bytes."""
    message = pack_message(
        draw_good(FRAME_SCHEMA, 1)[0].message(), FRAME_SCHEMA
    )
    good = message.SerializeToString()
    for size in (2**28, 2**31 - 1, 2**32 - 1):
        string = b"\n" + encode_number(size) + bytes(40)
        entry = encode_field(1, b"rgb") + encode_field(
            2, encode_field(1, string)
        )
        bad = good + encode_field(1, encode_field(1, entry))
        file = write_records(tmp_path / "long.tfrecord", [good, bad])
        reader = VideoReader(FRAME_SCHEMA, [file], 2)
        with memory_grows_by_at_most(50e6), pytest.raises(BadRecordError):
            list(reader.read_once())
