"""Packed arrays, from the command to a prediction of a network."""

import dataclasses
import json

import numpy as np
import pytest
import stage_runs

import distill
from distill.data.files import find_files
from distill.data.pipeline import VideoReader
from distill.datasets.pack import write_records
from distill.models.frame_budget import FrameBudget
from distill.networks.loading import load_network
from distill.settings.pack import PackSettings

NUM_VIDEOS = 60
KINDS = {
    "bytes": {"quantisation_range": "auto"},
    "floats": {"float_frames": True},
}
READ_FLAGFILE = """
import dataclasses, json, sys
from distill.cli.flag_parsing import expand_flagfiles
from distill.cli.experiment import data_schema
from distill.cli.settings_flags import FLAGS, define
from distill.cli import train
define(train.FLAG_GROUPS)
FLAGS(expand_flagfiles(["train", "--flagfile=" + sys.argv[1]]))
print(json.dumps({
    "schema": dataclasses.asdict(data_schema()),
    "patterns": [FLAGS.train_data_pattern, FLAGS.eval_data_pattern],
    "class_names_file": FLAGS.class_names_file,
}))
"""


def draw_arrays():
    """Returns videos of two classes that lie beyond YouTube-8M's range."""
    random = np.random.default_rng(0)
    videos = []
    for number in range(NUM_VIDEOS):
        kind = number % 2
        centre = np.where(np.arange(6) % 2 == kind, 30, -20)
        frames = centre + 20 * random.normal(size=(random.integers(2, 9), 6))
        frames = frames.astype(np.float32)
        videos.append((f"v{number}", {"x": frames}, ["cat", "dog"][kind]))
    return videos


@pytest.fixture(scope="module", params=KINDS)
def packed(request, tmp_path_factory):
    """Returns the directory of a packed data set and what was packed."""
    folder = tmp_path_factory.mktemp("packed") / "data"
    settings = PackSettings(
        validate_fraction=0.3,
        num_shards=2,
        max_frames=6,
        **KINDS[request.param],
    )
    return folder, write_records(draw_arrays(), folder, settings)


@pytest.fixture(scope="module")
def checkpoint(packed, tmp_path_factory):
    """Returns the checkpoint of a student on every second frame."""
    folder, found = packed
    settings = stage_runs.logistic_settings(folder, FrameBudget.every(2))
    training = dataclasses.replace(
        settings.training, batch_size=4, num_epochs=5, base_learning_rate=0.1
    )
    settings = dataclasses.replace(
        settings, data=found.schema, training=training
    )
    directory = tmp_path_factory.mktemp("run")
    stage_runs.train_in_process(settings, directory)
    return max(directory.glob("checkpoint-*.h5"))


@pytest.fixture(scope="module")
def reader(packed):
    folder, found = packed
    files = find_files(f"{folder}/validate-*.tfrecord")
    return VideoReader(found.schema, files, batch_size=16)


def expected_inputs(frames, schema):
    """Returns the frames that the network sees of an array, by NumPy."""
    frames = frames[: schema.max_frames]
    if not schema.float_frames:
        least, most = schema.quantisation_range
        step, offset = (most - least) / 255, (most - least) / 512 + least
        numbers = np.arange(256) * step + offset
        frames = numbers[np.abs(frames[..., None] - numbers).argmin(-1)]
    kept = frames[::2][: max(len(frames) // 2, 1)]
    return kept / np.linalg.norm(kept, axis=-1, keepdims=True)


def test_a_network_learns_from_packed_arrays(packed, checkpoint, reader):
    _, found = packed
    network = load_network(checkpoint, "student")
    assert network.schema == found.schema
    ids, predictions = stage_runs.predict_all(network, reader)
    assert len(ids) == found.num_videos["validate"] > 8
    kinds = [int(name[1:]) % 2 for name in ids]
    assert np.mean(predictions.argmax(axis=1) == kinds) > 0.9


def test_the_predictor_reads_the_arrays_as_training_read_the_records(
    packed, checkpoint, reader
):
    _, found = packed
    network = load_network(checkpoint, "student")
    ids, expected = stage_runs.predict_all(network, reader)
    arrays = {name: held["x"] for name, held, _ in draw_arrays()}
    assert max(len(arrays[name]) for name in ids) > found.schema.max_frames
    predictor = distill.Predictor.load(checkpoint)
    videos = [predictor.check(arrays[name]) for name in ids]
    probabilities = predictor.probabilities(videos)
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)
    kernel, bias = (
        np.asarray(weight) for weight in network.model.classifier.weights
    )
    for name, row in zip(ids, expected, strict=True):
        mean = expected_inputs(arrays[name], found.schema).mean(axis=0)
        by_hand = 1 / (1 + np.exp(-(mean @ kernel + bias)))
        np.testing.assert_allclose(row, by_hand, atol=1e-4)


@pytest.mark.slow
def test_exports_carry_the_range_and_the_kind_of_frames(
    packed, checkpoint, reader, tmp_path
):
    network = load_network(checkpoint, "student")
    formats = ["saved_model", "keras", "onnx", "litert"]
    folder = tmp_path / "export"
    stage_runs.write_export(
        checkpoint, network, reader, folder, formats, num_classes=2
    )
    ids, expected = stage_runs.predict_all(network, reader)
    arrays = {name: held["x"] for name, held, _ in draw_arrays()}
    for name in ("saved_model", "model.keras", "model.onnx", "model.tflite"):
        predictor = distill.Predictor.load(folder / name)
        videos = [predictor.check(arrays[each]) for each in ids]
        found = predictor.probabilities(videos)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_flagfile_describes_the_data_set(packed):
    folder, found = packed
    said = stage_runs.run_python(READ_FLAGFILE, folder / "dataset.cfg")
    flags = json.loads(said)
    assert flags["schema"] == json.loads(
        json.dumps(dataclasses.asdict(found.schema))
    )
    assert flags["patterns"] == [
        f"{folder}/train-*.tfrecord",
        f"{folder}/validate-*.tfrecord",
    ]
    assert flags["class_names_file"] == f"{folder}/class_names.csv"


def test_the_command_packs_a_folder_and_says_how_to_read_it(tmp_path):
    for name, features, label in draw_arrays():
        (tmp_path / "in" / label).mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / "in" / label / f"{name}.npy", features["x"])
    flags = [f"--input={tmp_path}/in", f"--output_dir={tmp_path}/out"]
    done = stage_runs.run_script("pack", *flags, "--num_shards=1")
    arrays = [features["x"] for _, features, _ in draw_arrays()]
    numbers = np.concatenate(arrays)
    share = np.mean(np.abs(numbers) > 2)
    assert done.stdout.splitlines() == [
        "60 videos (60 train) of frames 6, 2 classes",
        f"8-bit values from -2 to 2; {share:.4%} of the numbers lay outside "
        "and were clipped",
        f"wrote {tmp_path}/out; read it by",
        f"  --flagfile={tmp_path}/out/dataset.cfg",
    ]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "class_names.csv",
        "dataset.cfg",
        "train-00000-of-00001.tfrecord",
    ]


def test_an_error_of_the_command_is_one_line(tmp_path):
    (tmp_path / "in.csv").write_text("path,labels\nno.npy,cat\n")
    flags = [f"--input={tmp_path}/in.csv", f"--output_dir={tmp_path}/out"]
    done = stage_runs.run_script("pack", *flags, status=1)
    line = stage_runs.error_line(done)
    assert line.startswith(f"ERROR: {tmp_path}/in.csv, line 2: ")
    assert "no.npy cannot be read" in line
    assert not (tmp_path / "out").exists()
