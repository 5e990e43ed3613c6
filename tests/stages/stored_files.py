"""Reading what the stages and the data generator wrote, without them."""

import json
import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tensorflow as tf


def read_datasets(path: Path, group: str = "/") -> dict[str, np.ndarray]:
    """Returns every dataset of an HDF5 file, or of a group in it, by name."""
    datasets = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset):
            datasets[name] = item[()]

    with h5py.File(path, "r") as file:
        file[group].visititems(visit)
    return datasets


def assert_same_checkpoint(path: Path, expected: Path) -> None:
    """Asserts that two checkpoints are equal, bit for bit."""
    assert_same_datasets(read_datasets(path), read_datasets(expected))
    with h5py.File(path) as file, h5py.File(expected) as other:
        assert file.attrs["progress"] == other.attrs["progress"]


def assert_same_datasets(
    datasets: dict[str, np.ndarray], expected: dict[str, np.ndarray]
) -> None:
    """Asserts that two sets of datasets are equal, bit for bit."""
    assert datasets.keys() == expected.keys()
    for name in expected:
        assert datasets[name].dtype == expected[name].dtype, name
        assert datasets[name].tobytes() == expected[name].tobytes(), name


def checkpoint_steps(directory: Path) -> list[int]:
    """Returns the steps in the names of a directory's checkpoints."""
    names = [path.name for path in directory.iterdir()]
    found = [re.fullmatch(r"checkpoint-(\d{8})\.h5", name) for name in names]
    return sorted(int(match[1]) for match in found if match)


def read_log(directory: Path) -> list[dict[str, Any]]:
    """Returns the lines of a run's log."""
    text = (directory / "log.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def read_records(directory: Path, prefix: str) -> list[bytes]:
    """Returns the serialized records of the files of a prefix, in order."""
    names = directory.glob(f"{prefix}-*.tfrecord")
    files = sorted(str(path) for path in names)
    return [r.numpy() for r in tf.data.TFRecordDataset(files)]


def write_records(path: Path, messages: list[Any]) -> None:
    """Writes protocol buffers as one TFRecord file."""
    with tf.io.TFRecordWriter(str(path)) as writer:
        for message in messages:
            writer.write(message.SerializeToString())


def true_labels(directory: Path, split="validate") -> dict[str, set[int]]:
    """Returns the labels of the frame-level videos by id, read by hand."""
    labels = {}
    for record in read_records(directory, split):
        context = tf.train.SequenceExample.FromString(record).context.feature
        video_id = context["id"].bytes_list.value[0].decode()
        labels[video_id] = set(context["labels"].int64_list.value)
    return labels


def read_events(
    folder: Path, plugin: str, others: tuple[str, ...] = ()
) -> dict[tuple[str, int], np.ndarray]:
    """Returns TensorBoard's arrays of a folder by tag and step.

    `plugin` is the one that shows them, such as `scalars`; there are no arrays
    but of it and the others.
    """
    arrays = {}
    for path in folder.iterdir():
        for event in tf.compat.v1.train.summary_iterator(str(path)):
            for value in event.summary.value:
                metadata = value.metadata.plugin_data
                if metadata.plugin_name == plugin:
                    array = tf.make_ndarray(value.tensor)
                    arrays[value.tag, event.step] = array
                else:
                    assert metadata.plugin_name in others
    return arrays


def read_scalars(folder: Path) -> dict[tuple[str, int], float]:
    """Returns TensorBoard's scalars of a folder by tag and step."""
    return {
        place: float(array)
        for place, array in read_events(folder, "scalars").items()
    }
