"""Seeded mutations of records: of their messages, their bytes, their files.

`MESSAGE_MUTATIONS` change what a record says, `WIRE_MUTATIONS` the bytes that
say it. Some leave a good record. Nothing here uses the code under test.
"""

import struct

import numpy as np
import tensorflow as tf

from tests.data.record_files import context_of

Random = np.random.Generator
Message = tf.train.SequenceExample | tf.train.Example
_LABELS = (-1, 5, 6, 2**31, 2**32 + 1, 2**63 - 1, -(2**63), 0, 4)
_NUMBERS = (np.nan, np.inf, -np.inf, 1e38, -0.0, 1e-45, 0.5)
_SIZES = (0, 1, 127, 2**14, 2**31 - 1, 2**31, 2**32, 2**62, 2**64 - 1)


def _features(message: Message) -> list[tf.train.Feature]:
    """Returns all features of a record, those of frames as well."""
    found = [context_of(message)[key] for key in sorted(context_of(message))]
    if isinstance(message, tf.train.SequenceExample):
        lists = message.feature_lists.feature_list
        for name in sorted(lists):
            found.extend(lists[name].feature)
    return found


def _choose(random: Random, values):
    return values[int(random.integers(len(values)))]


def _fill(feature: tf.train.Feature, random: Random) -> None:
    """Fills a feature with values of any kind, or none."""
    count = int(random.integers(4))
    feature.Clear()
    kind = int(random.integers(4))
    if kind == 0:
        for _ in range(count):
            feature.bytes_list.value.append(random.bytes(random.integers(5)))
    elif kind == 1:
        picked = [_choose(random, _LABELS) for _ in range(count)]
        feature.int64_list.value.extend(picked)
    elif kind == 2:
        picked = [_choose(random, _NUMBERS) for _ in range(count)]
        feature.float_list.value.extend(picked)
    if not count and kind < 3:
        # A list that is there and holds nothing.
        name = ("bytes_list", "int64_list", "float_list")[kind]
        getattr(feature, name).SetInParent()


def drop_key(message, random):
    context = context_of(message)
    del context[_choose(random, sorted(context))]


def drop_list(message, random):
    if isinstance(message, tf.train.SequenceExample):
        lists = message.feature_lists.feature_list
        if lists:
            del lists[_choose(random, sorted(lists))]
    else:
        _choose(random, _features(message)).Clear()


def rename_key(message, random):
    context = context_of(message)
    old = _choose(random, sorted(context))
    new = _choose(random, [*sorted(context), "video_id", "", "\x00", "\u00e4"])
    context[new].CopyFrom(context[old])
    if new != old:
        del context[old]


def change_kind(message, random):
    _fill(_choose(random, _features(message)), random)


def change_label(message, random):
    context_of(message)["labels"].int64_list.value.append(
        _choose(random, _LABELS)
    )


def change_id(message, random):
    values = context_of(message)["id"].bytes_list.value
    del values[:]
    for _ in range(_choose(random, [0, 1, 1, 1, 2])):
        values.append(_choose(random, [b"", b"\xff\xfe", b"a\x00b", b"x" * 99]))


def change_width(message, random):
    feature = _choose(random, _features(message))
    if feature.bytes_list.value:
        width = int(random.integers(6))
        feature.bytes_list.value[0] = random.bytes(width)
    elif feature.float_list.value:
        change = int(random.integers(-2, 3))
        if change < 0:
            del feature.float_list.value[change:]
        feature.float_list.value.extend([0.5] * change)


def change_number(message, random):
    for feature in _features(message):
        values = feature.float_list.value
        if feature.HasField("float_list") and len(values):
            values[int(random.integers(len(values)))] = _choose(
                random, _NUMBERS
            )
            return


def change_length(message, random):
    if not isinstance(message, tf.train.SequenceExample):
        return
    lists = message.feature_lists.feature_list
    if not lists:
        return
    frames = lists[_choose(random, sorted(lists))].feature
    if random.integers(2):
        del frames[int(random.integers(len(frames) + 1)) :]
    for _ in range(int(random.integers(4))):
        frames.add().bytes_list.value.append(random.bytes(random.integers(4)))


def change_segments(message, random):
    context = context_of(message)
    keys = [key for key in sorted(context) if key.startswith("segment_")]
    if not keys:
        return
    feature = context[_choose(random, keys)]
    name = feature.WhichOneof("kind") or "int64_list"
    values = getattr(feature, name).value
    picked = _choose(random, _NUMBERS if name == "float_list" else _LABELS)
    if name == "bytes_list" or random.integers(3) == 0:
        del values[: int(random.integers(1, 3))]
    elif random.integers(3) == 0:
        values.append(picked)
    elif len(values):
        values[int(random.integers(len(values)))] = picked


def hold_a_budget(message, random):
    feature = context_of(message)["frame_budget"]
    if random.integers(2):
        feature.bytes_list.value.append(
            _choose(random, [b"every_n=1", b"uniform_k=2", b"", b"\xff"])
        )
    else:
        _fill(feature, random)


MESSAGE_MUTATIONS = (
    drop_key,
    drop_list,
    rename_key,
    change_kind,
    change_label,
    change_id,
    change_width,
    change_number,
    change_length,
    change_segments,
    hold_a_budget,
)


def encode_number(value: int, padding: int = 0) -> bytes:
    """Returns a base-128 number, perhaps longer than it need be."""
    groups = []
    while True:
        value, group = value >> 7, value & 127
        more = bool(value) or padding > 0
        groups.append(group | more << 7)
        if not more:
            return bytes(groups)
        padding -= not value


def encode_field(number: int, contents: bytes, wire_type: int = 2) -> bytes:
    """Returns a field of a message, behind its tag and, of type 2, length."""
    tag = encode_number(number << 3 | wire_type)
    length = encode_number(len(contents)) if wire_type == 2 else b""
    return tag + length + contents


def cut(record, random):
    return record[: int(random.integers(len(record) + 1))]


def flip_bit(record, random):
    changed = bytearray(record)
    place = int(random.integers(len(record)))
    changed[place] ^= 1 << int(random.integers(8))
    return bytes(changed)


def change_bytes(record, random):
    place = int(random.integers(len(record)))
    size = int(random.integers(1, 9))
    return record[:place] + random.bytes(size) + record[place + size :]


def insert_bytes(record, random):
    place, first, last = sorted(random.integers(len(record) + 1, size=3))
    piece = record[first:last] if random.integers(2) else random.bytes(3)
    return record[:place] + piece + record[place:]


def remove_bytes(record, random):
    first, last = sorted(random.integers(len(record) + 1, size=2))
    return record[:first] + record[last:]


def declare_size(record, random):
    place = int(random.integers(len(record)))
    size = encode_number(_choose(random, _SIZES))
    return record[:place] + size + record[place + 1 :]


def repeat_record(record, random):
    return record + _choose(random, [record, cut(record, random)])


def append_field(record, random):
    number, wire_type = int(random.integers(1, 20)), int(random.integers(8))
    contents = random.bytes(_choose(random, [0, 1, 4, 8, 12]))
    return record + encode_field(number, contents, wire_type)


def nest_deep(record, random):
    depth = _choose(random, [5, 99, 101, 20_000])
    number = _choose(random, [1, 2, 9])
    if random.integers(2):
        start = encode_field(number, b"", 3) * depth
        return record + start + encode_field(number, b"", 4) * depth
    nested = b""
    for _ in range(min(depth, 500)):
        nested = encode_field(number, nested)
    return record + nested


def empty_record(record, random):
    return bytes(int(random.integers(3)) * 4)


WIRE_MUTATIONS = (
    cut,
    flip_bit,
    change_bytes,
    insert_bytes,
    remove_bytes,
    declare_size,
    repeat_record,
    append_field,
    nest_deep,
    empty_record,
)


def _respell_feature(feature, random):
    """Returns a feature's bytes in a legal spelling of its values."""
    kind = feature.WhichOneof("kind")
    if kind is None:
        return b""
    number = ("bytes_list", "float_list", "int64_list").index(kind) + 1
    values = list(getattr(feature, kind).value)
    if kind == "bytes_list":
        fields = [encode_field(1, value) for value in values]
    else:
        encoded = [
            struct.pack("<f", value)
            if kind == "float_list"
            else encode_number(value % 2**64, int(random.integers(3)))
            for value in values
        ]
        wire_type = 5 if kind == "float_list" else 0
        place = int(random.integers(len(values) + 1))
        fields = [
            encode_field(1, b"".join(encoded[:place])),
            *(encode_field(1, each, wire_type) for each in encoded[place:]),
        ]
    spelled = b""
    if random.integers(3) == 0:  # another kind, which the last one replaces
        spelled += encode_field(number % 3 + 1, b"")
    if random.integers(3) == 0:  # a list in two parts, which are joined
        place = int(random.integers(len(fields) + 1))
        spelled += encode_field(number, b"".join(fields[:place]))
        fields = fields[place:]
    return spelled + encode_field(number, b"".join(fields))


def _respell_map(entries, random):
    """Returns the bytes of a map in a legal spelling of its entries."""
    spelled = []
    for key, value in entries:
        parts = [encode_field(1, key.encode()), encode_field(2, value)]
        if random.integers(4) == 0:
            parts.reverse()
        if random.integers(4) == 0:  # an entry that the next one replaces
            other = encode_field(2, encode_field(3, b"\n\1\7"))
            spelled.append(encode_field(1, parts[0] + other))
            parts = [encode_field(1, key.encode()), encode_field(2, value)]
        if random.integers(4) == 0:  # a field that nobody knows
            parts.append(encode_field(9, b"\x96\x01", 0))
        spelled.append(encode_field(1, b"".join(parts)))
    return b"".join(spelled)


def respell(message, random):
    context = context_of(message)
    keys = [str(key) for key in random.permutation(sorted(context))]
    entries = [(key, _respell_feature(context[key], random)) for key in keys]
    place = int(random.integers(len(entries) + 1))
    parts = [entries[:place], entries[place:]]
    spelled = [encode_field(1, _respell_map(part, random)) for part in parts]
    if isinstance(message, tf.train.SequenceExample):
        lists = message.feature_lists.feature_list
        frames = [
            (
                name,
                b"".join(
                    encode_field(1, _respell_feature(frame, random))
                    for frame in lists[name].feature
                ),
            )
            for name in sorted(lists)
        ]
        spelled.append(encode_field(2, _respell_map(frames, random)))
    if random.integers(4) == 0:
        spelled.insert(0, encode_field(15, random.bytes(3)))
    return b"".join(spelled)


def mutate(message: Message, random: Random) -> tuple[str, bytes]:
    """Returns the names of a few mutations and the record they make."""
    names = []
    for _ in range(_choose(random, [0, 1, 1, 1, 2])):
        mutation = _choose(random, MESSAGE_MUTATIONS)
        if context_of(message):
            mutation(message, random)
            names.append(mutation.__name__)
    if random.integers(4) == 0:
        record = respell(message, random)
        names.append("respell")
    else:
        record = message.SerializeToString(deterministic=True)
    for _ in range(_choose(random, [0, 1, 1, 2] if not names else [0, 0, 1])):
        if record:
            mutation = _choose(random, WIRE_MUTATIONS)
            record = mutation(record, random)
            names.append(mutation.__name__)
    return "+".join(names), record
