"""The two forms of a frame-level record, and the way from one to the other.

In the form `frames` a record has a feature list of frames for each feature. In
the form `packed` (`distill.data.packed_frames`) its context has one string.
"""

from collections.abc import Iterable

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from distill.data.kept_frames import BUDGET_KEY
from distill.data.packed_frames import frame_bytes, packed_keys
from distill.data.tfrecords import open_records
from distill.settings.schema import DataSchema

# Floats of packed frames, whatever the machine.
_FLOATS = np.dtype("<f4")


def packed_values(
    message: tf.train.SequenceExample, schema: DataSchema
) -> dict[str, bytes]:
    """Returns the packed frames that a record holds, by feature.

    It is packed if there are any. A value that is not one string is left out.
    """
    context = message.context.feature
    known = dict.fromkeys((schema.id_key, schema.labels_key, BUDGET_KEY))
    found = {}
    for name in packed_keys(schema, known):
        if name in context:
            values = context[name].bytes_list.value
            if len(values) == 1 and values[0]:
                found[name] = values[0]
    return found


def begins_packed(files: Iterable[str], schema: DataSchema) -> bool:
    """Returns whether the first record of some files can be read, and packed.

    A damaged file is not reported here.
    """
    try:
        for file in files:
            for record in open_records(file).take(1).as_numpy_iterator():
                message = tf.train.SequenceExample.FromString(record)
                return bool(packed_values(message, schema))
    except (tf.errors.OpError, DecodeError):
        pass
    return False


def count_frames(message: tf.train.SequenceExample, schema: DataSchema) -> int:
    """Returns the number of frames of a good record of either form."""
    first = schema.feature_names[0]
    packed = packed_values(message, schema)
    if packed:
        return len(packed[first]) // frame_bytes(schema, first)
    return len(message.feature_lists.feature_list[first].feature)


def pack_frames(
    message: tf.train.SequenceExample, feature_names: Iterable[str]
) -> None:
    """Packs the lists of frames of a good record; leaves other lists.

    Raises:
      ValueError: The context has a feature's name as a key already.
    """
    context = message.context.feature
    lists = message.feature_lists.feature_list
    for name in feature_names:
        if name in context:
            raise ValueError(
                f"the context has the key {name!r}, under which the packed "
                "frames of that feature would lie: give record_form=frames"
            )
        packed = b"".join(map(_frame_value, lists[name].feature))
        context[name].bytes_list.value.append(packed)
        del lists[name]


def _frame_value(frame: tf.train.Feature) -> bytes:
    if frame.HasField("float_list"):
        return np.array(frame.float_list.value, _FLOATS).tobytes()
    return frame.bytes_list.value[0]


def unpack_frames(
    message: tf.train.SequenceExample, schema: DataSchema
) -> None:
    """Replaces the packed frames of a good record by lists of frames."""
    for name, value in packed_values(message, schema).items():
        width = frame_bytes(schema, name)
        frames = [
            value[start : start + width]
            for start in range(0, len(value), width)
        ]
        lists = message.feature_lists.feature_list
        # Lists beside packed frames are not read.
        del lists[name].feature[:]
        for frame in frames:
            feature = lists[name].feature.add()
            if schema.holds_floats(name):
                floats = np.frombuffer(frame, _FLOATS)
                feature.float_list.value.extend(floats.tolist())
            else:
                feature.bytes_list.value.append(frame)
        del message.context.feature[name]
