"""Damaged and foreign artifacts end in one line with path and reason."""

import json
import random
import re
import shutil

import hostile_artifacts as hostile
import numpy as np
import pytest
import stage_runs
import tensorflow as tf
from hostile_artifacts import change_keras, replace_in_config, save_program
from onnx import helper
from stage_runs import error_line, run_script

import distill
from distill.deployment import artifact_runtime
from distill.deployment.artifact_network import ArtifactNetwork
from distill.deployment.package import write_package
from distill.networks.loading import load_network
from tools.attacks.artifacts import attack
from tools.attacks.attempt import Attempt

FORMATS = ["saved_model", "keras", "onnx", "litert"]
ARTIFACTS = ("saved_model", "model.keras", "model.onnx", "model.tflite")
WEIGHTS = {
    "saved_model": hostile.VARIABLES,
    "model.keras": "model.keras",
    "model.onnx": "model.onnx",
    "model.tflite": "model.tflite",
}


@pytest.fixture(scope="module")
def exported(videos, logistic_checkpoint, tmp_path_factory):
    """Returns an export's directory."""
    return stage_runs.write_export(
        logistic_checkpoint,
        load_network(logistic_checkpoint, "student"),
        stage_runs.validation_reader(videos),
        tmp_path_factory.mktemp("hostile") / "export",
        FORMATS,
    )


@pytest.fixture
def folder(exported, tmp_path):
    """Returns a copy of the export that has no digests."""
    copy = tmp_path / "export"
    shutil.copytree(exported, copy)
    hostile.drop_digests(copy)
    return copy


def refusal(path):
    """Returns the one line that loading raises; it names the path first."""
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))} ") as caught:
        distill.Predictor.load(path)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 1_000
    return message.removeprefix(f"{path} ")


@pytest.mark.parametrize("name", ARTIFACTS)
@pytest.mark.parametrize("damage", [hostile.flip, hostile.cut])
def test_damage_is_noticed_by_the_card_s_digest(
    damage, name, exported, tmp_path
):
    copy = tmp_path / "export"
    shutil.copytree(exported, copy)
    damage(copy, WEIGHTS[name])
    assert "SHA-256 differs" in refusal(copy / name)


@pytest.mark.parametrize("name", ARTIFACTS)
def test_a_card_without_digests_is_read(name, folder):
    check_example(folder, name)


def check_example(folder, name):
    """Checks what an artifact predicts of the export's own example."""
    example = np.load(folder / "example.npz")
    video = example["frames"][0, : example["num_frames"][0]]
    predictor = distill.Predictor.load(folder / name)
    np.testing.assert_allclose(
        predictor.probabilities([predictor.check(video)]),
        example["predictions"],
        atol=1e-5,
    )


@pytest.mark.parametrize("name", ARTIFACTS)
def test_a_cut_artifact_is_named(name, folder):
    hostile.cut(folder, WEIGHTS[name])
    assert "cannot be loaded: " in refusal(folder / name)


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        (hostile.VARIABLES, hostile.flip),
        ("saved_model/variables/variables.index", hostile.flip),
        ("saved_model/variables/variables.index", hostile.cut),
        ("saved_model/saved_model.pb", hostile.cut),
    ],
)
def test_a_damaged_file_of_a_saved_model_is_named(file, damage, folder):
    damage(folder, file)
    assert "cannot be loaded: " in refusal(folder / "saved_model")


PROGRAMS = {
    "signature": (
        lambda folder: save_program(folder, one_output("predictions"), "other"),
        "no signature serving_default; it has other",
    ),
    "output": (
        lambda folder: save_program(folder, one_output("scores")),
        r"no output 'predictions'; it has \['scores'\]",
    ),
    "shape": (
        lambda folder: save_program(
            folder, lambda f: {"predictions": hostile.scores(f)[:, :3]}
        ),
        r"float32 \[2, 3\], not float32 \[2, 10\]",
    ),
    "type": (
        lambda folder: save_program(
            folder, lambda f: {"predictions": f[:, 0, : hostile.CLASSES]}
        ),
        r"uint8 \[2, 10\], not float32 \[2, 10\]",
    ),
    "no probabilities": (
        lambda folder: save_program(
            folder, lambda f: {"predictions": hostile.scores(f) - 7}
        ),
        "are from -7 to -7",
    ),
    "NaN": (
        lambda folder: save_program(
            folder, lambda f: {"predictions": hostile.scores(f) * np.nan}
        ),
        "are from nan to nan",
    ),
    "writes when it runs": (hostile.write_at_run, "'WriteFile'"),
    "writes when it is loaded": (hostile.write_at_load, "kind 'resource'"),
    "calls Python": (hostile.call_python, "operations '.*PyFunc'"),
    "constant": (hostile.huge_constant, "1,000,000,000,000 values"),
    "other graph": (
        lambda f: (f / "saved_model" / "saved_model.cpb").touch(),
        "'saved_model.cpb' beside",
    ),
}


def one_output(name):
    return lambda frames: {name: hostile.scores(frames)}


@pytest.mark.parametrize(("write", "reason"), PROGRAMS.values(), ids=PROGRAMS)
def test_a_foreign_saved_model_is_refused(write, reason, folder):
    write(folder)
    assert re.search(reason, refusal(folder / "saved_model"))
    assert not (folder / "written").exists()


@pytest.mark.parametrize("write", [hostile.write_at_run, hostile.write_at_load])
def test_trust_lets_a_program_run(write, folder):
    """The refusal above guards from a program that does write."""
    write(folder)
    distill.Predictor.load(folder / "saved_model", trust_artifact=True)
    assert (folder / "written").exists()


GRAPHS = {
    "endless": (hostile.endless_loop, "operations 'Loop'"),
    "memory": (hostile.onnx_beyond_memory, "smaller than requested bytes"),
    "values elsewhere": (hostile.onnx_values_elsewhere, "in another file"),
    "shape": (hostile.onnx_shape_of_nothing, "are not in the file"),
    "output": (
        lambda folder: hostile.write_onnx(
            folder, [helper.make_node("Identity", ["p0"], ["z0"])], output="z0"
        ),
        "Invalid output name:predictions",
    ),
    "domain": (
        lambda folder: hostile.write_onnx(
            folder,
            [helper.make_node("Gelu", ["p0"], ["predictions"], domain="own")],
        ),
        "operations 'own.Gelu'",
    ),
    "no graph": (
        lambda folder: (folder / "model.onnx").write_bytes(b""),
        "has no graph",
    ),
}


@pytest.mark.parametrize(("write", "reason"), GRAPHS.values(), ids=GRAPHS)
def test_a_foreign_onnx_file_is_refused(write, reason, folder):
    write(folder)
    assert re.search(reason, refusal(folder / "model.onnx"))


LAMBDA = '"module": "keras.layers", "class_name": "Lambda"'
KERAS = {
    "member outside": ({"extra": {"../../a": b"x"}}, r"member '../../a'"),
    "bomb": ({"extra": {"assets/a": bytes(10**6)}, "kind": 8}, "compressed|a'"),
    "compressed": ({"kind": 8}, "is compressed"),
    "deep": (
        {"change": lambda text: '{"a":' * 50_000 + text + "}" * 50_000},
        "nested too deep",
    ),
    "large": (
        {"change": lambda text: text[:-1] + ', "a": [' + "0," * 10**6 + "0]}"},
        "larger than 1,000,000 bytes",
    ),
    "many": (
        {"change": lambda text: text[:-1] + ', "a": [' + "0," * 10**4 + "0]}"},
        "over 5,000 items",
    ),
    "class": (
        {
            "change": lambda text: text.replace(
                '"module": "distill.models.raw_video_model", '
                '"class_name": "RawVideoModel"',
                LAMBDA,
            )
        },
        "names the class .*'Lambda'",
    ),
    "sizes": (
        {
            "change": replace_in_config(
                '"num_classes": 10', f'"num_classes": {10**7}'
            )
        },
        "does not fit",
    ),
    "other sizes": (
        {"change": replace_in_config('"num_classes": 10', '"num_classes": 99')},
        "not those of its configuration",
    ),
    "weights": ({"weights": hostile.compressed_weights()}, "in one piece"),
}


@pytest.mark.parametrize(("changes", "reason"), KERAS.values(), ids=KERAS)
def test_a_foreign_keras_file_is_refused(changes, reason, folder):
    change_keras(folder, **changes)
    assert re.search(reason, refusal(folder / "model.keras"))


def test_a_rewritten_keras_file_is_read(folder):
    change_keras(folder)
    check_example(folder, "model.keras")


def test_a_litert_file_of_other_operations_is_refused(folder):
    def endless(x):
        return tf.while_loop(lambda v: v[0] < 9.0, lambda v: [v * 2.0], [x])

    function = tf.function(
        endless, input_signature=[tf.TensorSpec([1], tf.float32)]
    )
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [function.get_concrete_function()]
    )
    (folder / "model.tflite").write_bytes(converter.convert())
    assert "operations 'WHILE'" in refusal(folder / "model.tflite")


def test_an_artifact_that_never_ends_is_given_up(folder, monkeypatch):
    def loop(frames):
        (end,) = tf.while_loop(
            lambda v: tf.reduce_all(v < 2e6), lambda v: [v + 1.0], [0.0]
        )
        return {"predictions": hostile.scores(frames) + 0 * end}

    save_program(folder, loop)
    monkeypatch.setattr(artifact_runtime, "MOST_SECONDS", 0.2)
    assert "took over 0.2 seconds" in refusal(folder / "saved_model")


def test_a_card_of_huge_videos_is_refused(folder):
    card = json.loads((folder / "card.json").read_text())
    card["interface"]["schema"]["max_frames"] = 10**12
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(ValueError, match=r"card\.json.*is too large"):
        distill.Predictor.load(folder / "model.onnx")


@pytest.mark.parametrize(
    "use",
    [
        ArtifactNetwork,
        lambda path: write_package(path, path.parent / "hub"),
    ],
)
def test_every_reader_of_artifacts_checks_them(use, folder):
    hostile.write_at_run(folder)
    with pytest.raises(ValueError, match=r"'WriteFile'.*--trust_artifact"):
        use(folder / "saved_model")


def test_a_verb_says_in_one_line_why_it_refuses_an_artifact(
    folder, videos, tmp_path
):
    hostile.write_at_run(folder)
    flags = (
        f"--artifact={folder / 'saved_model'}",
        f"--input_data_pattern={videos}/validate-*",
        f"--output_file={tmp_path / 'predictions.csv'}",
    )
    line = error_line(run_script("infer", *flags, status=1))
    assert f"{folder / 'saved_model'} cannot be loaded: " in line
    assert not (folder / "written").exists()
    run_script("infer", *flags, "--trust_artifact")
    assert (tmp_path / "predictions.csv").exists()


@pytest.mark.slow
def test_damaged_artifacts_predict_or_are_refused(tmp_path):
    attempts = list(attack(tmp_path, 24, random.Random(0)))
    assert len(attempts) == 24
    assert all(isinstance(attempt, Attempt) for attempt in attempts)
    assert [str(a) for a in attempts if a.problem] == []
