"""Networks that were trained on bytes, on records of floats and of both."""

import dataclasses

import numpy as np
import pytest
import stage_runs
import tensorflow as tf
from stage_runs import error_line, run_script
from stored_files import read_records, write_records

from distill.data.pipeline import VideoReader
from distill.deployment.scoring import evaluate
from distill.networks.loading import load_network
from distill.networks.stored_settings import check_same_data

NAMES = {"rgb": "RGB/feature/floats", "audio": "AUDIO/feature/floats"}
FLOATS = dataclasses.replace(
    stage_runs.frame_schema(),
    feature_names=tuple(NAMES.values()),
    id_key="clip/data_path",
    labels_key="clip/label/index",
    float_frames=True,
)
MIXED = dataclasses.replace(
    stage_runs.frame_schema(), float_features=("audio",)
)


def to_floats(frame):
    """Returns the feature of the numbers that a frame's bytes stand for."""
    stored = np.frombuffer(frame.bytes_list.value[0], np.uint8)
    numbers = stored.astype(np.float32) * (4 / 255) + (4 / 512 - 2)
    return tf.train.Feature(float_list={"value": numbers})


def as_floats(record, features, names, keys):
    """Returns a record with some features as floats, under other keys."""
    video = tf.train.SequenceExample.FromString(record)
    other = tf.train.SequenceExample()
    for old, new in keys.items():
        other.context.feature[new].CopyFrom(video.context.feature[old])
    for name, entries in video.feature_lists.feature_list.items():
        kept = entries.feature
        if name in features:
            kept = [to_floats(frame) for frame in kept]
        held = other.feature_lists.feature_list[names.get(name, name)]
        held.feature.extend(kept)
    return other


def write_floats(path, records):
    """Writes records of bytes as MediaPipe writes floats."""
    keys = {"id": FLOATS.id_key, "labels": FLOATS.labels_key}
    floats = [
        as_floats(each, ("rgb", "audio"), NAMES, keys) for each in records
    ]
    write_records(path, floats)


@pytest.fixture(scope="module")
def float_videos(videos, tmp_path_factory):
    """Returns the validation videos as files of floats, and of both."""
    folder = tmp_path_factory.mktemp("floats")
    records = read_records(videos, "validate")
    same = {"id": "id", "labels": "labels"}
    write_floats(folder / "floats.tfrecord", records)
    write_records(
        folder / "mixed.tfrecord",
        [as_floats(each, ("audio",), {}, same) for each in records],
    )
    return folder


@pytest.mark.parametrize("schema", [FLOATS, MIXED], ids=["floats", "mixed"])
def test_a_network_of_bytes_predicts_the_same_of_floats(
    schema, float_videos, videos, logistic_checkpoint
):
    network = load_network(logistic_checkpoint, "student")
    reader = stage_runs.validation_reader(videos)
    ids, expected = stage_runs.predict_all(network, reader)
    name = "floats" if schema is FLOATS else "mixed"
    file = str(float_videos / f"{name}.tfrecord")
    other = VideoReader(schema, [file], stage_runs.BATCH_SIZE)
    network = load_network(logistic_checkpoint, "student")
    same_ids, found = stage_runs.predict_all(network, other)
    rows = dict(zip(same_ids, found, strict=True))
    found = [rows[video_id] for video_id in ids]
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.slow
def test_an_artifact_of_bytes_scores_floats(
    float_videos, videos, logistic_checkpoint, tmp_path
):
    network = load_network(logistic_checkpoint, "student")
    reader = stage_runs.validation_reader(videos)
    folder = stage_runs.write_export(
        logistic_checkpoint, network, reader, tmp_path / "export", ["keras"]
    )
    expected = evaluate(folder, f"{videos}/validate-*.tfrecord")
    pattern = f"{float_videos}/floats.tfrecord"
    for path in (folder, logistic_checkpoint):
        found = evaluate(path, pattern, data=FLOATS)
        for name in ("gap", "mean_average_precision", "loss"):
            assert found[name] == pytest.approx(expected[name], abs=1e-6)


@pytest.mark.slow
def test_floats_train_the_network_that_their_bytes_train(
    float_videos, videos, tmp_path
):
    floats = tmp_path / "floats"
    floats.mkdir()
    write_floats(floats / "train-0.tfrecord", read_records(videos, "train"))
    bytes_ = tmp_path / "bytes"
    bytes_.mkdir()
    (bytes_ / "train-0.tfrecord").write_bytes(
        b"".join(p.read_bytes() for p in sorted(videos.glob("train-*")))
    )
    found = []
    for data, folder in ((None, bytes_), (FLOATS, floats)):
        settings = stage_runs.pooled_settings(folder, num_epochs=12)
        settings = dataclasses.replace(settings, data=data or settings.data)
        run = folder / "run"
        stage_runs.train_in_process(settings, run)
        (newest,) = run.glob(f"checkpoint-{60:08d}.h5")
        file = f"{float_videos}/floats.tfrecord"
        found.append(evaluate(newest, file, data=FLOATS))
    assert found[0]["gap"] > 0.5
    for name in ("gap", "mean_average_precision", "loss"):
        assert found[1][name] == pytest.approx(found[0][name], abs=1e-3)


def test_a_network_of_floats_does_not_read_bytes():
    plain = stage_runs.frame_schema()
    floats = dataclasses.replace(plain, float_frames=True)
    check_same_data("a.h5", plain, floats)
    check_same_data("a.h5", MIXED, floats)
    with pytest.raises(ValueError, match="was trained with frames of flo"):
        check_same_data("a.h5", floats, plain)
    with pytest.raises(ValueError, match="this run has bytes"):
        check_same_data("a.h5", MIXED, plain)


@pytest.mark.slow
def test_the_verb_reads_the_keys_and_floats_that_flags_name(
    float_videos, logistic_checkpoint, tmp_path
):
    flags = [
        f"--checkpoint={logistic_checkpoint}",
        f"--eval_data_pattern={float_videos}/floats.tfrecord",
        f"--feature_names={','.join(NAMES.values())}",
        f"--id_key={FLOATS.id_key}",
        f"--labels_key={FLOATS.labels_key}",
        f"--output_file={tmp_path}/p.csv",
        "--gpu=-1",
    ]
    refused = error_line(run_script("infer", *flags, status=1))
    assert "floats.tfrecord, record 0: frame 0 of feature" in refused
    assert "(--float_frames reads floats)" in refused
    run_script("infer", *flags, "--float_frames")
    lines = (tmp_path / "p.csv").read_text().splitlines()
    assert len(lines) == 1 + stage_runs.NUM_VALIDATE_VIDEOS
