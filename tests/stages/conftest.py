"""The data and the runs that several tests of the stages read."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from distill.checkpoints.conversion import convert
from distill.data.pipeline import VideoReader
from distill.datasets.synthetic import write_synthetic_data
from distill.models.frame_budget import FrameBudget
from distill.networks.loading import load_network
from distill.settings.run import RunSettings
from distill.settings.synthetic import SyntheticSettings

pytest.register_assert_rewrite("stage_runs", "stored_files")

import stage_runs  # noqa: E402
from stored_files import read_records, write_records  # noqa: E402


@pytest.fixture(scope="session")
def videos(tmp_path_factory) -> Path:
    """Returns a directory of frame-level videos: `train` and `validate`."""
    directory = tmp_path_factory.mktemp("videos")
    for split, count in (
        ("train", stage_runs.NUM_TRAIN_VIDEOS),
        ("validate", stage_runs.NUM_VALIDATE_VIDEOS),
    ):
        settings = SyntheticSettings(
            split=split,
            num_videos=count,
            num_shards=3,
            feature_sizes=stage_runs.FEATURE_SIZES,
            num_classes=stage_runs.NUM_CLASSES,
            max_frames=stage_runs.MAX_FRAMES,
            min_frames=2,
            scene_strength=2.0,
        )
        list(write_synthetic_data(settings, directory))
    return directory


@pytest.fixture(scope="session")
def video_level_videos(videos, tmp_path_factory) -> Path:
    """Returns the same videos as hand-made records of their mean frames."""
    directory = tmp_path_factory.mktemp("video_level")
    for split in ("train", "validate"):
        examples = [
            _mean_example(tf.train.SequenceExample.FromString(record))
            for record in read_records(videos, split)
        ]
        path = directory / f"{split}-00000-of-00001.tfrecord"
        write_records(path, examples)
    return directory


def _mean_example(video: tf.train.SequenceExample) -> tf.train.Example:
    example = tf.train.Example()
    for key in ("id", "labels"):
        example.features.feature[key].CopyFrom(video.context.feature[key])
    for name, frames in video.feature_lists.feature_list.items():
        rows = [frame.bytes_list.value[0] for frame in frames.feature]
        mean = np.mean([np.frombuffer(row, np.uint8) for row in rows], axis=0)
        feature = example.features.feature[f"mean_{name}"]
        feature.float_list.value.extend(mean / 64 - 2)
    return example


@pytest.fixture(scope="session")
def reader(videos) -> VideoReader:
    """Returns a reader of the validation videos."""
    return stage_runs.validation_reader(videos)


def _train(settings: RunSettings, directory: Path) -> Path:
    """Keeps every step's checkpoint."""
    stage_runs.train_in_process(
        settings,
        directory,
        checkpoint_every_steps=1,
        keep_checkpoints=0,
        log_every_steps=2,
    )
    return directory


@pytest.fixture(scope="session")
def joint_run(videos, tmp_path_factory) -> Path:
    """Returns the directory of a joint run with a checkpoint of every step."""
    directory = tmp_path_factory.mktemp("runs") / "joint"
    return _train(stage_runs.joint_settings(videos), directory)


@pytest.fixture(scope="session")
def joint_checkpoint(joint_run) -> Path:
    """Returns the last checkpoint of the joint run."""
    return joint_run / "checkpoint-00000015.h5"


@pytest.fixture(scope="session")
def student_run(videos, tmp_path_factory) -> Path:
    """Returns the directory of a run on labels, every step's checkpoint."""
    directory = tmp_path_factory.mktemp("runs") / "student"
    return _train(stage_runs.student_settings(videos), directory)


@pytest.fixture(scope="session")
def video_level_run(video_level_videos, tmp_path_factory) -> Path:
    """Returns the directory of a logistic regression's run, which is fast."""
    directory = tmp_path_factory.mktemp("runs") / "video_level"
    return _train(
        stage_runs.video_level_settings(video_level_videos), directory
    )


@pytest.fixture(scope="session")
def logistic_checkpoint(videos, tmp_path_factory) -> Path:
    """Returns a student of every fourth frame that is exported fast."""
    directory = tmp_path_factory.mktemp("runs") / "logistic"
    settings = stage_runs.logistic_settings(
        videos, FrameBudget.every(4), base_learning_rate=0.3
    )
    stage_runs.train_in_process(settings, directory)
    return directory / "checkpoint-00000005.h5"


@pytest.fixture(scope="session")
def student_checkpoint(joint_checkpoint, tmp_path_factory) -> Path:
    """Returns the joint run's student, converted."""
    path = tmp_path_factory.mktemp("converted") / "student.h5"
    convert(joint_checkpoint, path)
    return path


@pytest.fixture(scope="session")
def whole_videos(videos, student_checkpoint):
    """Returns the validation videos as stored, the predictions, the ids."""
    reader = stage_runs.validation_reader(videos, batch_size=100)
    network = load_network(student_checkpoint, "student")
    ids, predictions = stage_runs.predict_all(network, reader)
    (batch,) = reader.read_once()
    inputs = {key: batch[key].numpy() for key in ("frames", "num_frames")}
    return inputs, predictions, ids
