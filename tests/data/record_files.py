"""Records, their files and their decoding, independent of the reader.

TFRecord framing: little-endian length (8 bytes), its masked CRC-32C (4), the
record, its masked CRC-32C (4).
"""

import dataclasses
import struct
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from distill.data.tfrecords import masked_checksum
from distill.settings.schema import DataSchema

SHARED = Path(__file__).parents[2] / ".." / "shared"

FRAME_SCHEMA = DataSchema(
    frame_features=True,
    feature_names=("rgb", "audio"),
    feature_sizes=(3, 2),
    id_key="id",
    labels_key="labels",
    num_classes=5,
    max_frames=4,
)
VIDEO_SCHEMA = dataclasses.replace(
    FRAME_SCHEMA, frame_features=False, feature_names=("mean_rgb", "mean_audio")
)
SCHEMAS = {"frame": FRAME_SCHEMA, "video": VIDEO_SCHEMA}


def frame_record(serialized: bytes) -> bytes:
    """Returns a record as it lies in its file."""
    length = struct.pack("<Q", len(serialized))
    return b"".join(
        (
            length,
            struct.pack("<I", masked_checksum(length)),
            serialized,
            struct.pack("<I", masked_checksum(serialized)),
        )
    )


def write_records(path: Path, records: Iterable[bytes]) -> str:
    """Writes a TFRecord file and returns its name."""
    path.write_bytes(b"".join(map(frame_record, records)))
    return str(path)


def read_records(path: str | Path) -> list[bytes]:
    """Returns the records of a whole file; checksums are not looked at."""
    contents = Path(path).read_bytes()
    records, start = [], 0
    while start < len(contents):
        (length,) = struct.unpack_from("<Q", contents, start)
        records.append(contents[start + 12 : start + 12 + length])
        start += length + 16
    assert start == len(contents)
    return records


@dataclasses.dataclass
class Video:
    """The contents of a record, as written or as found.

    Attributes:
      id: The id.
      labels: Class indexes as the record lists them.
      features: By name, uint8 `[frames, size]` or float32 `[size]`.
    """

    id: str
    labels: list[int]
    features: dict[str, np.ndarray]

    def message(
        self, id_key: str = "id", labels_key: str = "labels"
    ) -> tf.train.SequenceExample | tf.train.Example:
        """Returns a SequenceExample of frames or an Example of floats."""
        frame_level = all(value.ndim == 2 for value in self.features.values())
        record = (
            tf.train.SequenceExample() if frame_level else tf.train.Example()
        )
        context = context_of(record)
        context[id_key].bytes_list.value.append(self.id.encode())
        context[labels_key].int64_list.value.extend(self.labels)
        for name, value in self.features.items():
            if frame_level:
                frames = record.feature_lists.feature_list[name].feature
                for row in value:
                    frames.add().bytes_list.value.append(row.tobytes())
            else:
                context[name].float_list.value.extend(value.tolist())
        return record

    def serialize(self, id_key: str = "id", labels_key: str = "labels"):
        """Returns the record's bytes."""
        return self.message(id_key, labels_key).SerializeToString()


def pack_message(
    message: tf.train.SequenceExample, schema: DataSchema
) -> tf.train.SequenceExample:
    """Puts each feature's frames into one string of the context."""
    lists = message.feature_lists.feature_list
    for name in schema.feature_names:
        rows = []
        for frame in lists[name].feature:
            floats = np.array(frame.float_list.value, "<f4").tobytes()
            rows.append(floats or frame.bytes_list.value[0])
        context_of(message)[name].bytes_list.value.append(b"".join(rows))
        del lists[name]
    return message


def context_of(record: tf.train.SequenceExample | tf.train.Example):
    """Returns the features by key that a record holds once."""
    if isinstance(record, tf.train.SequenceExample):
        return record.context.feature
    return record.features.feature


def decode_video(serialized: bytes, schema: DataSchema) -> Video:
    """Decodes a good record with protobuf and NumPy alone."""
    if schema.frame_features:
        record = tf.train.SequenceExample.FromString(serialized)
        context = record.context.feature
        lists = record.feature_lists.feature_list
        features = {
            name: np.array(
                [
                    np.frombuffer(frame.bytes_list.value[0], np.uint8)
                    for frame in lists[name].feature
                ]
            )
            for name in schema.feature_names
        }
    else:
        context = tf.train.Example.FromString(serialized).features.feature
        features = {
            name: np.array(context[name].float_list.value, np.float32)
            for name in schema.feature_names
        }
    return Video(
        context[schema.id_key].bytes_list.value[0].decode(),
        list(context[schema.labels_key].int64_list.value),
        features,
    )


def draw_videos(
    schema: DataSchema, count: int, seed: int = 0, prefix: str = "v"
) -> list[Video]:
    """Draws videos of 1 to `max_frames` + 2 frames and 1 to 3 labels."""
    random = np.random.default_rng(seed)
    videos = []
    for index in range(count):
        num_frames = random.integers(1, schema.max_frames + 3)
        features = {}
        for name, size in zip(
            schema.feature_names, schema.feature_sizes, strict=True
        ):
            if schema.frame_features:
                features[name] = random.integers(
                    0, 256, (num_frames, size), np.uint8
                )
            else:
                features[name] = random.standard_normal(size, np.float32)
        labels = random.integers(0, schema.num_classes, random.integers(1, 4))
        videos.append(Video(f"{prefix}{index:03d}", labels.tolist(), features))
    return videos


def unbatch(batches: Iterable[dict[str, tf.Tensor]]) -> list[dict]:
    """Returns the NumPy values of every video of some batches."""
    videos = []
    for batch in batches:
        arrays = {name: value.numpy() for name, value in batch.items()}
        for index in range(len(arrays["id"])):
            videos.append({name: arrays[name][index] for name in arrays})
    return videos


def ids_of(batches: Iterable[dict[str, tf.Tensor]]) -> list[str]:
    """Returns the ids of some batches' videos."""
    return [name.decode() for batch in batches for name in batch["id"].numpy()]


def assert_video_read(read: dict, video: Video, schema: DataSchema) -> None:
    """Checks that the values read are exactly those of a video."""
    assert read["id"].decode() == video.id
    hot = [label in video.labels for label in range(schema.num_classes)]
    assert read["labels"].dtype == bool
    np.testing.assert_array_equal(read["labels"], hot)
    values = [video.features[name] for name in schema.feature_names]
    if not schema.frame_features:
        assert read["features"].dtype == np.float32
        np.testing.assert_array_equal(read["features"], np.concatenate(values))
        return
    joined = np.concatenate(values, axis=1)[: schema.max_frames]
    assert read["num_frames"] == len(joined)
    assert read["frames"].dtype == np.uint8
    assert read["frames"].shape == (schema.max_frames, schema.num_features)
    np.testing.assert_array_equal(read["frames"][: len(joined)], joined)
    assert not read["frames"][len(joined) :].any()


def assert_videos_read(
    read: Sequence[dict], videos: Sequence[Video], schema: DataSchema
) -> None:
    """Checks that exactly these videos were read, in this order."""
    assert [each["id"].decode() for each in read] == [v.id for v in videos]
    for each, video in zip(read, videos, strict=True):
        assert_video_read(each, video, schema)


def assert_same_batches(batches: Iterable[dict], others: Iterable[dict]):
    """Checks that two readers give the same batches, one or more."""
    count = 0
    for batch, other in zip(batches, others, strict=True):
        assert batch.keys() == other.keys()
        for name in batch:
            assert batch[name].dtype == other[name].dtype
            np.testing.assert_array_equal(batch[name], other[name])
        count += 1
    assert count


def shared_file(name: str) -> Path:
    """Returns a real data file; skips the test where it is missing."""
    path = SHARED / "data" / name
    if not path.exists():
        pytest.skip(f"{path} is not here: real data lies beside the project")
    return path
