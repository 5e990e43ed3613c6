"""Mutated records and files: each named, or left out and counted, or read.

What a record is, `record_oracle` decides by protocol buffers alone. TensorFlow
parses by rules of its own that refuse records of unusual spelling, so that
counts are compared exactly where a record is spelled as it is written by
protocol buffers, and others are compared with what was read of them.
"""

import collections
import gzip
import re
import struct

import numpy as np
import pytest
import tensorflow as tf

from distill.data.bad_records import BadRecordError, Expected
from distill.data.frame_draws import EVALUATION_KEY
from distill.data.packed_batches import PackedParser
from distill.data.pipeline import VideoReader, estimate_num_records
from distill.data.reasons import REASONS
from distill.data.tfrecords import masked_checksum
from distill.datasets.check.file_check import FileChecker
from distill.models.frame_budget import ALL_FRAMES
from tests.data.mutations import encode_field, encode_number, mutate
from tests.data.record_files import (
    SCHEMAS,
    draw_videos,
    frame_record,
    ids_of,
    pack_message,
    unbatch,
    write_records,
)
from tests.data.record_oracle import UNREADABLE, is_plain, judge
from tests.memory_growth import memory_grows_by_at_most
from tests.segment_records import SCHEMA, draw_rated_videos

ALL_SCHEMAS = SCHEMAS | {
    "segments": SCHEMA,
    "packed": SCHEMAS["frame"],
    "packed segments": SCHEMA,
}
# TensorFlow's parser overlooks some lengths within a message, of few records.
MOST_OVERLOOKED = 0.02
LINE = re.compile(
    r"WARNING: skipped (\d+) records, ([\w ]+); for example (.+), "
    r"record (\d+): (.+)"
)


def make_records(level, count, seed):
    """Returns the names of mutations and the records they made."""
    random = np.random.default_rng([seed, len(level)])
    made = []
    for index in range(count):
        draw, schema = draw_videos, ALL_SCHEMAS[level]
        arguments: tuple = (schema, 1, seed + index % 7)
        if schema.segment_labels:
            draw, arguments = draw_rated_videos, arguments[1:]
        message = draw(*arguments)[0].message()
        if level.startswith("packed"):
            pack_message(message, schema)
        made.append(mutate(message, random))
    return made


def read_skipping(level, records, need_labels, folder, capsys):
    """Returns what is read of records, and the counts by reason.

    Checks that the record named for each reason is there.
    """
    file = write_records(folder / "mutated.tfrecord", records)
    reader = VideoReader(
        ALL_SCHEMAS[level], [file], 16, need_labels, on_bad_record="skip"
    )
    read = []
    try:
        read = unbatch(reader.read_once())
    except BadRecordError as error:
        if not str(error).startswith("No good "):
            raise
    counts, named = collections.Counter(), {}
    for line in capsys.readouterr().out.splitlines():
        count, reason, where, number, said = LINE.fullmatch(line).groups()
        assert where == file
        assert said != "None"
        counts[reason] += int(count)
        named[reason] = int(number)
    return read, counts, named


def keys_of(examples):
    """Returns all values of each example as bytes, which can be compared."""
    types = {"num_frames": np.int32}
    types |= dict.fromkeys(("id", "frames", "features", "labels"))
    types["label_weights"] = None
    return [
        tuple(
            np.asarray(example[name], kind).tobytes()
            for name, kind in types.items()
            if name in example
        )
        for example in examples
    ]


@pytest.fixture(
    params=[
        *("frame", "video", "segments", "packed"),
        pytest.param("packed segments", marks=pytest.mark.slow),
    ]
)
def level(request):
    return request.param


@pytest.mark.parametrize(
    ("count", "seeds"),
    [
        pytest.param(400, [0], id="few"),
        pytest.param(1_500, range(1, 4), id="many", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize(
    "need_labels", [True, pytest.param(False, marks=pytest.mark.slow)]
)
def test_every_plain_record_is_read_or_counted_by_its_reason(
    level, need_labels, count, seeds, tmp_path, capsys
):
    schema = ALL_SCHEMAS[level]
    for seed in seeds:
        records = [
            record
            for names, record in make_records(level, count, seed)
            if is_plain(record, schema)
        ]
        assert len(records) > count / 4
        verdicts = [judge(each, schema, need_labels) for each in records]
        read, counts, named = read_skipping(
            level, records, need_labels, tmp_path, capsys
        )
        good = [each for verdict in verdicts for each in verdict.examples]
        reasons = [verdict.reason for verdict in verdicts]
        assert keys_of(read) == keys_of(good)
        assert counts == collections.Counter(filter(None, reasons))
        for reason, number in named.items():
            assert reasons[number] == reason
        assert len(counts) >= 5
        assert len(good) > 20


@pytest.mark.parametrize(
    ("count", "seed"),
    [
        pytest.param(400, 0, id="few"),
        pytest.param(4_000, 1, id="many", marks=pytest.mark.slow),
    ],
)
def test_records_of_any_bytes_are_read_right_or_left_out(
    level, count, seed, tmp_path, capsys
):
    """Nothing is read that protocol buffers read otherwise."""
    schema = ALL_SCHEMAS[level]
    records = [record for _, record in make_records(level, count, seed)]
    odd = [each for each in records if not is_plain(each, schema)]
    verdicts = [judge(each, schema, True) for each in odd]
    read, counts, _ = read_skipping(level, odd, True, tmp_path, capsys)
    expected = collections.Counter(
        key for verdict in verdicts for key in keys_of(verdict.examples)
    )
    overlooked = collections.Counter(keys_of(read)) - expected
    assert overlooked.total() <= MOST_OVERLOOKED * len(odd)
    if not schema.segment_labels:
        assert len(read) + counts.total() == len(odd)
    # The check of data reads by protocol buffers too, and overlooks nothing.
    checker = FileChecker(Expected(schema))
    found = checker.check(write_records(tmp_path / "odd.tfrecord", odd))
    assert found.num_good + found.bad.total() == len(odd)
    assert len(found.ids) == found.num_good
    for number, _ in found.ids:
        assert verdicts[number].reason is None
    # Most of what protocol buffers refuse is refused, most as unreadable.
    unreadable = sum(each.reason == UNREADABLE for each in verdicts)
    assert counts[UNREADABLE] > unreadable / 2


@pytest.mark.parametrize(
    ("count", "seed"),
    [
        pytest.param(600, 5, id="few"),
        pytest.param(6_000, 6, id="many", marks=pytest.mark.slow),
    ],
)
def test_the_quick_parser_of_packed_records_reads_nothing_else(count, seed):
    schema = SCHEMAS["frame"]
    parser = PackedParser(schema, True, ALL_FRAMES, EVALUATION_KEY)

    @tf.function(
        input_signature=[tf.TensorSpec([], tf.string)], autograph=False
    )
    def parse(record):
        read = parser.read(record)
        return parser.finish(
            {name: value[None] for name, value in read.items()}
        )

    overlooked = reasons = 0
    records = [record for _, record in make_records("packed", count, seed)]
    for record in records:
        verdict = judge(record, schema, True)
        try:
            parsed = {name: v.numpy()[0] for name, v in parse(record).items()}
        except (tf.errors.OpError, UnicodeDecodeError):
            # TensorFlow refuses some good records of unusual spelling.
            assert verdict.reason or not is_plain(record, schema)
            continue
        code = int(parsed.pop("reason"))
        if code:
            reasons += REASONS[code] == verdict.reason
        elif keys_of([parsed]) != keys_of(verdict.examples):
            assert not is_plain(record, schema) or verdict.reason == UNREADABLE
            overlooked += 1
    assert overlooked <= MOST_OVERLOOKED * count
    assert reasons > count / 10


def test_a_record_that_only_tensorflow_refuses_is_named(tmp_path, capsys):
    """It ends with an empty group, a field that nobody knows."""
    videos = draw_videos(SCHEMAS["video"], 3)
    records = [video.serialize() for video in videos]
    records[1] += encode_field(9, b"", 3) + encode_field(9, b"", 4)
    schema = SCHEMAS["video"]
    assert judge(records[1], schema, True).examples[0]["id"] == b"v001"
    file = write_records(tmp_path / "odd.tfrecord", records)
    says = f"{file}, record 1: unreadable to TensorFlow's parser, which does"
    with pytest.raises(BadRecordError) as caught:
        list(VideoReader(schema, [file], 2).read_once())
    assert str(caught.value).startswith(says)
    reader = VideoReader(schema, [file], 2, on_bad_record="skip")
    assert ids_of(reader.read_once()) == ["v000", "v002"]
    line = capsys.readouterr().out
    assert line.startswith("WARNING: skipped 1 records, unreadable; ")
    assert says in line


def test_a_list_of_floats_takes_no_memory_by_its_length(tmp_path, capsys):
    """The list states up to 4 GB, of which the record has 40 bytes."""
    good = draw_videos(SCHEMAS["video"], 1)[0].serialize()
    records = [good]
    for size in (2**20, 2**28, 2**31, 2**32 - 4, 2**32 - 1):
        floats = b"\n" + encode_number(size) + bytes(40)
        entry = encode_field(1, b"mean_rgb")
        entry += encode_field(2, encode_field(2, floats))
        records.append(good + encode_field(1, encode_field(1, entry)))
    file = write_records(tmp_path / "long.tfrecord", records)
    reader = VideoReader(SCHEMAS["video"], [file], 2, on_bad_record="skip")
    with memory_grows_by_at_most(50e6):
        assert ids_of(reader.read_once()) == ["v000"]
    said = capsys.readouterr().out
    assert sum(map(int, re.findall(r"skipped (\d+) records", said))) == 5


def declare_length(length):
    """Returns a record's header that states a length, with its checksum."""
    header = struct.pack("<Q", length)
    return header + struct.pack("<I", masked_checksum(header))


# From the whole records of a file to the bytes of another.
FILE_MUTATIONS = {
    "length 2^31": lambda whole: whole + declare_length(2**31) + b"x" * 50,
    "length 2^36": lambda whole: whole + declare_length(2**36) + b"x" * 50,
    "length 2^62": lambda whole: whole + declare_length(2**62),
    "length 2^64 - 1": lambda whole: whole + declare_length(2**64 - 1) + whole,
    "length 2^64 - 5": lambda whole: whole + declare_length(2**64 - 5) + whole,
    "length beyond the file": lambda whole: whole + declare_length(2**20),
    "length without a checksum": lambda whole: whole + b"\xff" * 40,
    "zeros": lambda whole: whole + bytes(100),
    "half a record": lambda whole: whole + frame_record(b"abc" * 30)[:50],
}


@pytest.mark.parametrize(
    "name",
    [
        "length 2^62",
        "length 2^64 - 5",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in FILE_MUTATIONS
            if name not in ("length 2^62", "length 2^64 - 5")
        ),
    ],
)
def test_a_damaged_file_is_read_up_to_its_damage(name, tmp_path, capsys):
    """No length takes memory, and none ends the process."""
    videos = draw_videos(SCHEMAS["frame"], 3)
    whole = b"".join(frame_record(video.serialize()) for video in videos)
    path = tmp_path / "damaged.tfrecord"
    path.write_bytes(FILE_MUTATIONS[name](whole))
    message = f"{path}, record 3: the file is truncated or corrupt there"
    with memory_grows_by_at_most(50e6):
        reader = VideoReader(SCHEMAS["frame"], [str(path)], 2)
        with pytest.raises(BadRecordError, match=re.escape(message)):
            list(reader.read_once())
        skipping = VideoReader(
            SCHEMAS["frame"], [str(path)], 2, on_bad_record="skip"
        )
        assert ids_of(skipping.read_once()) == [v.id for v in videos]
        assert estimate_num_records([str(path)]) >= 3
    (line,) = capsys.readouterr().out.splitlines()
    assert message in line
    lost = path.stat().st_size - len(whole)
    assert line.startswith(f"WARNING: {lost} bytes are lost: ")


def test_a_compressed_file_is_damaged_from_its_start(tmp_path, capsys):
    whole = frame_record(draw_videos(SCHEMAS["frame"], 1)[0].serialize())
    path = tmp_path / "other.tfrecord"
    path.write_bytes(gzip.compress(whole))
    message = f"{path}, record 0: the file is truncated or corrupt there"
    for mode in ("fail", "skip"):
        reader = VideoReader(
            SCHEMAS["frame"], [str(path)], 2, on_bad_record=mode
        )
        with pytest.raises(BadRecordError) as caught:
            list(reader.read_once())
        assert message in str(caught.value) + capsys.readouterr().out
