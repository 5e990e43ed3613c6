"""Every artifact says what its checkpoint says, in its own runtime."""

import dataclasses
import hashlib
import json
import re
import tarfile

import numpy as np
import pytest
import stage_runs
import tensorflow as tf
from stage_runs import error_line, run_python, run_script
from stored_files import read_records

from distill.checkpoints.checkpoint import read_settings
from distill.data.tfrecords import read_record
from distill.deployment import artifacts, litert_graph
from distill.deployment.archive import write_archive
from distill.deployment.artifacts import (
    ArtifactKind,
    choose_kinds,
    count_bytes,
)
from distill.deployment.card import describe_extraction
from distill.deployment.export import Export, choose_network
from distill.deployment.export import export as export_network
from distill.deployment.interface import VideoInterface
from distill.deployment.litert_graph import write_litert
from distill.deployment.runtimes import load_runtime
from distill.deployment.scoring import evaluate
from distill.deployment.signatures import ServingModule
from distill.deployment.step_export import StepExport
from distill.evaluation.evaluate import evaluate_network, predict_videos
from distill.evaluation.metrics_files import print_scores
from distill.models import registry
from distill.models.frame_budget import FrameBudget
from distill.networks.ensemble_file import Ensemble, Member
from distill.networks.loading import load_network
from distill.networks.network import build_network
from distill.settings.class_names import numbered_classes
from distill.settings.frame_cost import FrameCost
from distill.settings.run import NetworkSettings
from distill.settings.run_options import RunOptions
from distill.settings.schema import make_schema
from distill.training.loop import TrainingRun
from tests.data.record_files import SHARED

NAMES = tuple(f"class {index}" for index in range(stage_runs.NUM_CLASSES))
LIMITS = {"float32": 1e-6, "float16": 2e-3, "int8": 5e-2, "int8_static": 5e-2}


def make_export(checkpoint, videos, role="student"):
    """Returns an export of a checkpoint, compared on validation videos."""
    reader = stage_runs.validation_reader(
        videos, read_settings(checkpoint).data
    )
    files = tuple(sorted(map(str, videos.glob("train-*.tfrecord"))))
    return Export(
        str(checkpoint),
        role,
        load_network(checkpoint, role),
        reader,
        f"{videos}/validate-*.tfrecord",
        NAMES,
        top_k=3,
        calibration=dataclasses.replace(reader, files=files, need_labels=False),
    )


def export_to(directory, export, formats=artifacts.FORMATS, precisions=None):
    """Writes an export; returns its card."""
    precisions = precisions or list(artifacts.TOLERANCES)
    list(export.write(directory, choose_kinds(formats, precisions)))
    return json.loads((directory / "card.json").read_text())


@pytest.fixture(scope="module")
def export(videos, student_checkpoint):
    return make_export(student_checkpoint, videos)


@pytest.fixture(scope="module")
def fast_export(videos, logistic_checkpoint):
    return make_export(logistic_checkpoint, videos)


@pytest.fixture(scope="module")
def exported(export, tmp_path_factory):
    """Returns an export in all formats, and its card."""
    directory = tmp_path_factory.mktemp("exports") / "student"
    return directory, export_to(directory, export)


@pytest.mark.parametrize("kind", artifacts.KINDS, ids=lambda kind: kind.name)
def test_artifact_predicts_as_evaluation_does(exported, whole_videos, kind):
    inputs, expected, _ = whole_videos
    runtime = load_runtime(exported[0] / kind.name)
    for size in (1, 3, len(expected)):
        found = runtime({key: value[:size] for key, value in inputs.items()})
        assert found.dtype == np.float32
        np.testing.assert_allclose(
            found, expected[:size], atol=LIMITS[kind.precision]
        )


def test_static_activations_make_an_answer_the_batch_s_no_more(
    exported, whole_videos
):
    """Dynamic ones do not: the test could tell."""
    inputs, _, _ = whole_videos
    found = {}
    for name in ("model_int8.onnx", "model_int8_static.onnx"):
        runtime = load_runtime(exported[0] / name)
        together = runtime(inputs)
        alone = [
            runtime({key: value[i : i + 1] for key, value in inputs.items()})[0]
            for i in range(len(together))
        ]
        pairs = runtime({key: value[5:7] for key, value in inputs.items()})
        found[name] = max(
            np.abs(together - alone).max(), np.abs(together[5:7] - pairs).max()
        )
    assert found["model_int8_static.onnx"] <= 1e-6
    assert found["model_int8.onnx"] > 1e-4


def test_int8_matrices_have_a_scale_for_each_column(exported, export):
    """And the integers times the scales are the weights, to half a step."""
    onnx = pytest.importorskip("onnx")
    weights = [np.asarray(v) for v in export.network.raw_model().variables]
    for name in ("model_int8.onnx", "model_int8_static.onnx"):
        graph = onnx.load(exported[0] / name).graph
        held = {
            tensor.name: onnx.numpy_helper.to_array(tensor)
            for tensor in graph.initializer
        }
        matrices = [n for n in held if n.endswith("/int8")]
        assert len(matrices) >= 6
        for matrix in matrices:
            weight = weights[int(matrix.split("/")[0].split("_")[1])]
            scales = held[matrix.replace("/int8", "/scales")]
            np.testing.assert_allclose(
                127 * scales, np.abs(weight).max(axis=0), rtol=1e-5
            )
            off = np.abs(held[matrix] * scales - weight)
            assert (off <= 0.5001 * scales).all()
        operations = {node.op_type for node in graph.node}
        assert ("DynamicQuantizeLinear" in operations) == (
            name == "model_int8.onnx"
        )


@pytest.mark.parametrize(
    ("calibration", "message"),
    [
        (None, "int8_static needs --calibration_data_pattern: videos"),
        ("validate-00000*", r"share .*validate-.*: calibrate on other"),
        ("absent-*", "absent-"),
    ],
)
def test_calibration_needs_other_videos(
    videos, logistic_checkpoint, tmp_path, calibration, message
):
    pattern = calibration and f"{videos}/{calibration}"
    with pytest.raises(ValueError, match=message):
        export_network(
            logistic_checkpoint,
            tmp_path / "export",
            f"{videos}/validate-*.tfrecord",
            formats=["onnx"],
            precisions=["int8_static"],
            calibration_pattern=pattern,
        )
    assert not (tmp_path / "export").exists()


def test_the_card_describes_the_artifacts(exported, export, student_checkpoint):
    directory, card = exported
    content = student_checkpoint.read_bytes()
    assert card["source"]["sha256"] == hashlib.sha256(content).hexdigest()
    assert card["source"]["role"] == "student"
    scores = evaluate_network(export.network, export.reader, top_k=3)
    assert card["checkpoint"]["gap"] == pytest.approx(scores["gap"], abs=1e-9)
    for key in ("frames", "parameters", "macs"):
        assert card["network"][key] == scores[key]
    assert card["data"]["num_videos"] == stage_runs.NUM_VALIDATE_VIDEOS
    rows = {row["path"]: row for row in card["artifacts"]}
    assert list(rows) == [kind.name for kind in artifacts.KINDS]
    for name, row in rows.items():
        assert row["bytes"] == count_bytes(directory / name)
        tolerance = artifacts.TOLERANCES[row["precision"]]
        assert abs(row["gap"] - scores["gap"]) <= tolerance
        assert row["milliseconds_at_1"] > 0 < row["milliseconds_at_64"]
        line = rf"^\| {name} \|.*\| {row['bytes']:,} \|"
        assert re.search(line, (directory / "card.md").read_text(), re.M)


@pytest.mark.slow
def test_means_need_more_frames_than_they_are(
    export, student_checkpoint, tmp_path, capsys
):
    means = FrameBudget("segment_means", num_frames=5)
    network = export.network.at_budget(means)
    cost = FrameCost(frame_macs=10**6, frame_milliseconds=20.0)
    extraction = describe_extraction(cost, network)
    export = dataclasses.replace(export, network=network, extraction=extraction)
    folder = tmp_path / "means"
    card = export_to(folder, export, ["onnx"], ["float32"])
    assert card["network"]["frames"] == 5
    assert card["network"]["frames_needed"] == stage_runs.MAX_FRAMES
    line = "MACs a video of 5 frames classified (40 frames needed), 10 classes"
    text = (folder / "card.md").read_text()
    assert line in text
    macs = card["network"]["macs"]
    assert (
        "- From a video file on, a label costs 40 frames x 1,000,000 + "
        f"{macs:,} = {40_000_000 + macs:,} MACs; 40 x 20 = 800 ms and the time "
        "of the network, whose sum is the last column\n"
    ) in text
    assert "| batch 64 | batch 1, with extraction |\n" in text
    (row,) = card["artifacts"]
    assert f" | {800 + row['milliseconds_at_1']:.1f} |\n" in text
    assert "| - | - | - |\n" in text  # the checkpoint is not timed
    whole, by_means, artifact = (
        evaluate(path, export.pattern, **fields)
        for path, fields in (
            (student_checkpoint, {}),
            (student_checkpoint, {"frame_budget": means}),
            (folder, {}),
        )
    )
    assert "frames_needed" not in whole
    assert by_means["frames_needed"] == artifact["frames_needed"] == 40
    print_scores([whole, by_means])
    printed = capsys.readouterr().out
    rows = r"frames needed\W+10\W+40\W+frames classified\W+10\W+5\W"
    assert re.search(rows, printed)
    # The card of an export made before.
    del card["network"]["frames_needed"]
    (folder / "card.json").write_text(json.dumps(card))
    assert "frames_needed" not in evaluate(folder, export.pattern)


def test_saved_model_stores_the_weights_once(exported):
    directory, card = exported
    floats = 4 * card["network"]["parameters"]
    for name, share in (("saved_model", 1), ("saved_model_float16", 0.5)):
        variables = count_bytes(directory / name / "variables")
        assert variables == pytest.approx(share * floats, abs=4000)


@pytest.fixture(scope="module")
def saved_model(exported):
    return tf.saved_model.load(str(exported[0] / "saved_model"))


def test_ranked_outputs_are_the_best_classes(saved_model, whole_videos):
    inputs, expected, _ = whole_videos
    outputs = saved_model.signatures["serving_default"](
        **{key: tf.constant(value) for key, value in inputs.items()}
    )
    best = np.argsort(-expected, axis=1, kind="stable")[:, :3]
    np.testing.assert_array_equal(outputs["class_indexes"], best)
    np.testing.assert_allclose(
        outputs["probabilities"], np.take_along_axis(expected, best, 1), 1e-5
    )
    names = outputs["class_names"].numpy().astype(str)
    assert names.tolist() == [[NAMES[i] for i in row] for row in best]


def test_serialized_examples_are_predicted(saved_model, videos, whole_videos):
    records = read_records(videos, "validate")
    outputs = saved_model.signatures["serialized_examples"](
        examples=tf.constant(records)
    )
    _, expected, ids = whole_videos
    rows = {video_id: row for video_id, row in zip(ids, expected, strict=True)}
    for video_id, found in zip(
        outputs["video_id"].numpy(), outputs["predictions"], strict=True
    ):
        np.testing.assert_allclose(found, rows.pop(video_id.decode()), 1e-5)
    assert not rows


def test_the_starter_code_s_signature_ranks_the_best_20(
    saved_model, videos, whole_videos
):
    """Of fewer than 20 classes it ranks all; `top_k` does not bound them."""
    signature = saved_model.signatures["youtube8m"]
    records = read_records(videos, "validate")
    outputs = signature(example_bytes=tf.constant(records))
    assert {name: value.dtype for name, value in outputs.items()} == {
        "video_id": tf.string,
        "class_indexes": tf.int32,
        "predictions": tf.float32,
    }
    _, expected, ids = whole_videos
    rows = {video_id: row for video_id, row in zip(ids, expected, strict=True)}
    found = zip(*(value.numpy() for value in outputs.values()), strict=True)
    for line in found:
        held = dict(zip(outputs, line, strict=True))
        row = rows.pop(held["video_id"].decode())
        best = np.argsort(-row, kind="stable")[:20]
        np.testing.assert_array_equal(held["class_indexes"], best)
        np.testing.assert_allclose(held["predictions"], row[best], 1e-5)
    assert not rows


def test_the_starter_code_s_signature_predicts_a_real_video():
    path = SHARED / "data" / "yt8m_frame" / "SjJ3.tfrecord"
    if not path.exists():
        pytest.skip(f"there is no {path}")
    schema = make_schema("yt8m_2018")
    name = "FrameLevelLogisticModel"
    arguments = registry.resolve_arguments(name, {})
    settings = NetworkSettings(name, arguments, FrameBudget())
    network = build_network(settings, schema, "student")
    names = numbered_classes(schema.num_classes)
    interface = VideoInterface(schema, FrameBudget(), names)
    module = ServingModule(network.raw_model(), interface, 5, False)
    signatures = module.signatures()
    record = read_record(str(path), 0)
    lists = tf.train.SequenceExample.FromString(record).feature_lists
    frames = [
        np.array(
            [
                np.frombuffer(frame.bytes_list.value[0], np.uint8)
                for frame in lists.feature_list[feature].feature
            ]
        )
        for feature in ("rgb", "audio")
    ]
    frames = np.concatenate(frames, axis=1)[None]
    assert frames.shape == (1, 170, 1152)
    ours = signatures["serving_default"](
        frames=tf.constant(frames), num_frames=tf.constant([170])
    )
    found = signatures["youtube8m"](example_bytes=tf.constant([record]))
    row = ours["predictions"].numpy()[0]
    best = np.argsort(-row, kind="stable")[:20]
    assert found["video_id"].numpy().tolist() == [b"SjJ3"]
    np.testing.assert_array_equal(found["class_indexes"], best[None])
    np.testing.assert_allclose(found["predictions"][0], row[best], 1e-5)


def test_a_bad_serialized_example_is_refused(saved_model, videos):
    record = tf.train.SequenceExample.FromString(
        read_records(videos, "validate")[0]
    )
    del record.feature_lists.feature_list["audio"]
    examples = tf.constant([record.SerializeToString()])
    with pytest.raises(tf.errors.InvalidArgumentError, match="missing feature"):
        saved_model.signatures["serialized_examples"](examples=examples)


def test_mediapipe_signature_takes_dequantised_floats(
    saved_model, whole_videos
):
    inputs, expected, _ = whole_videos
    floats = inputs["frames"].astype(np.float32) * (4 / 255) + (4 / 512 - 2)
    outputs = saved_model.signatures["mediapipe"](
        rgb_and_audio=tf.constant(floats, tf.float32),
        num_frames=tf.constant(inputs["num_frames"][:, None]),
    )
    np.testing.assert_allclose(outputs["predictions"], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("width", "num_frames", "message"),
    [
        (stage_runs.MAX_FRAMES + 1, 3, "at most 40 frames"),
        (4, 5, "larger than the number of frames"),
        (4, 0, "must be 1 or more"),
    ],
)
def test_saved_model_refuses_bad_lengths(
    saved_model, width, num_frames, message
):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        saved_model.signatures["serving_default"](
            frames=tf.zeros([1, width, 16], tf.uint8),
            num_frames=tf.constant([num_frames]),
        )


@pytest.mark.slow
def test_keras_file_needs_models_alone(exported, whole_videos, tmp_path):
    inputs, expected, _ = whole_videos
    np.savez(tmp_path / "videos.npz", **inputs)
    code = (
        "import sys, keras, numpy as np\n"
        "import distill.models.saved_classes\n"
        "model = keras.models.load_model(sys.argv[1])\n"
        "videos = dict(np.load(sys.argv[2]))\n"
        "np.save(sys.argv[3], np.asarray(model(videos)))\n"
        "others = [m for m in sys.modules if m.startswith('distill.')]\n"
        "assert all(m.startswith('distill.models') for m in others), others\n"
    )
    files = [exported[0] / "model.keras"]
    files += [tmp_path / "videos.npz", tmp_path / "found.npy"]
    run_python(code, *files)
    np.testing.assert_allclose(np.load(files[2]), expected, atol=1e-6)


def test_the_example_is_a_real_video(exported, whole_videos):
    example = np.load(exported[0] / "example.npz")
    inputs, expected, _ = whole_videos
    np.testing.assert_array_equal(example["frames"][0], inputs["frames"][0])
    np.testing.assert_allclose(example["predictions"], expected[:1], atol=1e-6)


@pytest.mark.slow
def test_a_teacher_is_exported_too(videos, joint_checkpoint, tmp_path):
    export = make_export(joint_checkpoint, videos, "teacher")
    card = export_to(tmp_path / "teacher", export, ["onnx"], ["float32"])
    assert card["source"]["role"] == "teacher"
    assert card["network"]["frames"] == stage_runs.MAX_FRAMES


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")
def test_video_level_networks_are_exported(video_level_videos, tmp_path):
    settings = stage_runs.video_level_settings(video_level_videos, "MoeModel")
    stage_runs.train_in_process(settings, tmp_path / "run")
    checkpoint = max((tmp_path / "run").glob("checkpoint-*.h5"))
    export = make_export(checkpoint, video_level_videos)
    card = export_to(tmp_path / "export", export)
    assert card["network"]["frames"] is None
    reader = dataclasses.replace(export.reader, batch_size=99)
    (batch,) = reader.read_once()
    (predicted,) = predict_videos(export.network, reader)
    for kind in artifacts.KINDS:
        found = load_runtime(tmp_path / "export" / kind.name)(
            {"features": batch["features"].numpy()}
        )
        limit = LIMITS[kind.precision]
        np.testing.assert_allclose(found, predicted.predictions, atol=limit)


@pytest.mark.slow
def test_an_export_is_replaced_whole(fast_export, tmp_path):
    directory = tmp_path / "export"
    export_to(directory, fast_export, ["onnx"], ["float32", "int8"])
    export_to(directory, fast_export, ["keras"])
    names = {path.name for path in directory.iterdir()}
    assert "model.keras" in names
    assert "model.onnx" not in names
    assert [path.name for path in tmp_path.iterdir()] == ["export"]


@pytest.mark.slow
def test_an_artifact_that_is_off_leaves_the_earlier_export(
    fast_export, tmp_path, monkeypatch
):
    directory = tmp_path / "export"
    export_to(directory, fast_export, ["onnx"], ["float32"])
    before = {p.name: p.read_bytes() for p in directory.iterdir()}
    kinds = choose_kinds(["onnx"], ["float32"])
    write = ArtifactKind.write

    def write_another(kind, path, source):
        classifier = fast_export.network.model.classifier.weights[0]
        held = classifier.numpy()
        classifier.assign(held[::-1])
        write(kind, path, source)
        classifier.assign(held)

    monkeypatch.setattr(ArtifactKind, "write", write_another)
    with pytest.raises(ValueError, match=r"model\.onnx does not agree with"):
        list(fast_export.write(directory, kinds))
    assert {p.name: p.read_bytes() for p in directory.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["export"]


def test_a_directory_of_something_else_is_not_replaced(export, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"holds no card\.json: give a new"):
        export_to(tmp_path, export, ["keras"])
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_joint_checkpoint_needs_a_role(joint_checkpoint):
    with pytest.raises(ValueError, match="give --role=student or --role=te"):
        choose_network(str(joint_checkpoint), None)
    assert choose_network(str(joint_checkpoint), "teacher") == "teacher"


def test_drawn_frames_cannot_be_exported(export, tmp_path):
    drawn = export.network.at_budget(FrameBudget("random_k", num_frames=3))
    export = dataclasses.replace(export, network=drawn)
    with pytest.raises(ValueError, match="random_k=3 is drawn for each video"):
        export_to(tmp_path / "export", export, ["keras"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("formats", "precisions", "message"),
    [
        (["onx"], ["int8"], "Did you mean 'onnx'"),
        (["onnx"], ["int4"], "'int4'"),
        (["keras"], ["int8"], "There is no keras in int8; there are"),
    ],
)
def test_kinds_that_do_not_exist_are_refused(formats, precisions, message):
    with pytest.raises(ValueError, match=message):
        choose_kinds(formats, precisions)


def test_litert_names_missing_operations(export, tmp_path, monkeypatch):
    module = "distill.models.hierarchical_lstm.shapes_may_vary"
    monkeypatch.setattr(module, lambda: True)
    with pytest.raises(ValueError, match=r"LiteRT cannot run this.*Unpack"):
        write_litert(
            tmp_path / "model.tflite",
            export.network.raw_model(),
            export.interface,
            "float32",
        )


@pytest.mark.parametrize(
    "precision",
    [
        pytest.param("float32", marks=pytest.mark.slow),
        pytest.param("float16", marks=pytest.mark.slow),
        "int8",
    ],
)
def test_matrices_put_into_a_litert_file_predict_as_the_network(
    export, whole_videos, tmp_path, monkeypatch, precision
):
    monkeypatch.setattr(litert_graph, "_LARGE", 1)
    path = tmp_path / "model.tflite"
    model = export.network.raw_model()
    write_litert(path, model, export.interface, precision)
    inputs, expected, _ = whole_videos
    for size in (1, len(expected)):
        found = load_runtime(path)({k: v[:size] for k, v in inputs.items()})
        limit = LIMITS[precision]
        np.testing.assert_allclose(found, expected[:size], atol=limit)
    weights = sum(np.prod(v.shape) for v in model.variables)
    width = {"float32": 4, "float16": 2, "int8": 1}[precision]
    assert count_bytes(path) > weights * width


def test_archive_holds_the_model_and_its_flags(exported):
    directory, _ = exported
    said = write_archive(directory, "model_int8.onnx", 10**9)
    path = directory / "model_int8.onnx.tar.gz"
    assert said == f"{path}: {path.stat().st_size:,} bytes"
    with tarfile.open(path) as archive:
        names = archive.getnames()
        flags = json.load(archive.extractfile("model_flags.json"))
        model = archive.extractfile("model_int8.onnx").read()
    assert set(names) >= {"model_flags.json", "card.json", "class_names.csv"}
    assert model == (directory / "model_int8.onnx").read_bytes()
    assert flags == {
        "model": "HierarchicalLstmModel",
        "feature_names": "rgb,audio",
        "feature_sizes": "12,4",
        "frame_features": True,
        "label_loss": "CrossEntropyLoss",
    }


def test_an_archive_over_the_limit_is_refused(exported):
    directory, _ = exported
    with pytest.raises(ValueError, match="over --max_bytes=2,000: model"):
        write_archive(directory, "model.keras", 2000)
    assert not (directory / "model.keras.tar.gz").exists()
    with pytest.raises(ValueError, match=r"Did you mean 'model\.keras'"):
        write_archive(directory, "model.kera", 2000)


@pytest.mark.slow
def test_exports_during_training_change_no_weight(
    videos, student_run, tmp_path
):
    settings = stage_runs.student_settings(videos)
    pattern = settings.training.train_data_pattern
    names = numbered_classes(stage_runs.NUM_CLASSES)
    options = RunOptions(
        str(tmp_path),
        export_model_steps=6,
        log_every_steps=2,
        keep_checkpoints=0,
    )
    run = TrainingRun(settings, options, StepExport(settings, pattern, names))
    assert run.train()
    exports = sorted(path.name for path in (tmp_path / "export").iterdir())
    assert exports == ["step_00000006", "step_00000012"]
    for step, name in ((6, exports[0]), (15, None)):
        ours = load_network(tmp_path / f"checkpoint-{step:08d}.h5", "student")
        plain = load_network(
            student_run / f"checkpoint-{step:08d}.h5", "student"
        )
        for a, b in zip(ours.model.weights, plain.model.weights, strict=True):
            np.testing.assert_array_equal(a, b)
        if name:
            artifact = tmp_path / "export" / name / "saved_model"
            rng = np.random.default_rng(0)
            frames = rng.integers(0, 256, (2, 40, 16), np.uint8)
            inputs = {"frames": frames, "num_frames": np.array([9, 40], "i4")}
            np.testing.assert_allclose(
                load_runtime(artifact)(inputs), plain.raw_model()(inputs), 1e-5
            )


@pytest.mark.slow
def test_the_verb_exports_and_asks_for_a_role(
    videos, joint_checkpoint, tmp_path
):
    flags = (
        f"--checkpoint={joint_checkpoint}",
        f"--eval_data_pattern={videos}/validate-*.tfrecord",
        f"--export_dir={tmp_path / 'export'}",
        "--formats=onnx,litert",
        "--precisions=float32",
        "--batch_size=16",
        "--gpu=-1",
    )
    message = error_line(run_script("export", *flags, status=1))
    assert "--role=student or --role=teacher" in message
    done = run_script("export", *flags, "--role=student")
    assert "| model.onnx | float32 |" in done.stdout
    assert "WARNING" not in done.stdout
    assert done.stderr == ""


@pytest.mark.slow
def test_an_ensemble_is_exported_as_one_network(
    videos, joint_checkpoint, student_checkpoint, tmp_path
):
    members = (
        Member(str(joint_checkpoint), "teacher", 0.7),
        Member(str(student_checkpoint), "student", 0.3),
    )
    path = tmp_path / "ensemble.json"
    Ensemble(members).write(path)
    reader = stage_runs.validation_reader(videos, batch_size=99)
    network = load_network(path, "student")
    export = Export(str(path), "student", network, reader, "", NAMES)
    formats = ["keras", "onnx", "litert"]
    card = export_to(tmp_path / "export", export, formats, ["float32"])
    assert card["source"]["role"] == "ensemble"
    expected = 0
    for member in members:
        one = load_network(member.checkpoint, member.role)
        (predicted,) = predict_videos(one, reader)
        expected += member.weight * predicted.predictions
    (batch,) = reader.read_once()
    inputs = {key: batch[key].numpy() for key in ("frames", "num_frames")}
    for name in ("model.keras", "model.onnx", "model.tflite"):
        found = load_runtime(tmp_path / "export" / name)(inputs)
        np.testing.assert_allclose(found, expected, atol=1e-5)
