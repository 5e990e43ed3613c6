"""The entry points as a user meets them: flags, help, errors, exit status."""

import json
import re
import xml.etree.ElementTree
from pathlib import Path

import h5py
import pytest
from stage_runs import (
    NO_TENSORFLOW,
    NUM_CLASSES,
    ROOT,
    error_line,
    network_flags,
    run_script,
    training_flags,
    validation_reader,
    video_level_flags,
    video_schema,
)
from stored_files import true_labels

from distill.cli.verbs import VERBS
from distill.evaluation.evaluate import evaluate_checkpoint
from tests import plain_metrics

TOOLS = [
    f"tools.{n}" for n in ("backends", "service_load", "predictions", "drills")
]
SCRIPTS = [*(verb for verb in VERBS if verb != "launch_workers"), *TOOLS]
# Its words are names of configs.
WITHOUT_WORDS = [script for script in SCRIPTS if script != "configs"]
# Words that come before the flags.
FIRST_WORDS = {"tools.backends": ("train",)}


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_needs_no_tensorflow_and_explains_every_flag(script):
    done = run_script(script, "--helpxml", driver=NO_TENSORFLOW, status=None)
    root = xml.etree.ElementTree.fromstring(done.stdout)
    own = [flag for flag in root.iter("flag") if flag.findtext("key") == "yes"]
    help_texts = {f.findtext("name"): f.findtext("meaning") for f in own}
    for name, text in help_texts.items():
        assert len((text or "").split()) >= 2, name
    shown = run_script(script, "--helpfull", driver=NO_TENSORFLOW).stdout
    assert shown.startswith("Usage: ")
    found = re.findall(r"^  --(\w+)", shown, re.MULTILINE)
    assert sorted(found) == sorted({*help_texts, "flagfile", "verbosity"})
    if script in ("train", "finetune", "evaluate"):
        assert {"gpu", "train_dir", "batch_size"} <= help_texts.keys()


@pytest.mark.parametrize("script", WITHOUT_WORDS)
def test_argument_that_is_no_flag_is_refused(script):
    words = (*FIRST_WORDS.get(script, ()), "train_dir")
    done = run_script(script, *words, driver=NO_TENSORFLOW, status=1)
    text = done.stdout + done.stderr
    assert "Not a flag: 'train_dir' (flags begin with --)." in text
    assert "Traceback" not in text


def test_wrong_verb_suggests_the_nearest():
    done = run_script("trian", driver=NO_TENSORFLOW, status=1)
    assert "there is no verb 'trian'. Did you mean train?" in error_line(done)


def test_every_module_of_the_command_line_is_a_verb_or_shared():
    shared = {
        "__init__",
        "beam",
        "config_files",
        "entry_point",
        "experiment",
        "flag_groups",
        "flag_parsing",
        "help_text",
        "main",
        "next_command",
        "reference_flags",
        "scoring",
        "settings_flags",
        "study_settings",
        "verbs",
    }
    found = {path.stem for path in (ROOT / "distill/cli").glob("*.py")}
    assert found == shared | set(VERBS)


def test_a_flag_of_another_verb_is_refused_on_the_command_line():
    done = run_script(
        "convert", "--dropout=0.9", driver=NO_TENSORFLOW, status=1
    )
    assert "--dropout is a flag of other verbs" in error_line(done)


def test_a_flagfile_may_hold_flags_of_other_verbs_but_no_unknown_one(tmp_path):
    shared = tmp_path / "shared.cfg"
    shared.write_text(
        "# A comment.\n--dropout=0.9\n--nogating\n--checkpoint=/nowhere.h5\n"
    )
    flags = ["convert", f"--flagfile={shared}", "--student_checkpoint=x"]
    done = run_script(*flags, status=1)
    assert "/nowhere.h5" in error_line(done)
    shared.write_text("--dropuot=0.9\n")
    done = run_script(*flags, driver=NO_TENSORFLOW, status=1)
    assert error_line(done) == (
        f"ERROR: {shared}, line 1: --dropuot: no such flag; `distill convert "
        "--helpfull` lists all."
    )


def test_a_flagfile_may_hold_sizes_of_other_models(tmp_path):
    """On the command line such a size is an error."""
    shared = tmp_path / "sizes.cfg"
    shared.write_text("--gru_cells=5\n--lstm_cells=6\n--student_gru_cells=7\n")
    flags = ["--model=LstmModel", "--train_data_pattern=/nowhere/*"]
    flags += [f"--flagfile={shared}", "--train_dir=/nowhere/x"]
    done = run_script("train", *flags, status=1)
    assert "No file matches '/nowhere/*'" in error_line(done)
    assert (
        "NOTE: LstmModel leaves out sizes of the flagfile: --gru_cells.\n"
        "NOTE: LstmModel leaves out sizes of the flagfile: "
        "--student_gru_cells.\n"
    ) in done.stdout
    done = run_script("train", *flags, "--gru_cells=5", status=1)
    assert "--gru_cells is no size of LstmModel" in error_line(done)


def test_a_verb_defines_the_flags_it_uses_alone():
    done = run_script("convert", "--helpxml", driver=NO_TENSORFLOW, status=None)
    root = xml.etree.ElementTree.fromstring(done.stdout)
    own = {
        flag.findtext("name")
        for flag in root.iter("flag")
        if flag.findtext("key") == "yes"
    }
    assert own == {
        *("checkpoint", "train_dir", "student_checkpoint"),
        "bias_alpha",
    }


@pytest.mark.parametrize(
    ("given", "nearest"),
    [
        ("lerning_rate", "base_learning_rate"),
        ("batch-sise", "batch_size"),
        ("epochs", "num_epochs"),
        ("iteratons", "iterations"),
        # absl lists all flags that begin so.
        ("student", "student_views"),
    ],
)
def test_unknown_flag_suggests_the_nearest(given, nearest):
    done = run_script("train", f"--{given}=3", driver=NO_TENSORFLOW, status=1)
    assert error_line(done) == (
        f"ERROR: --{given}: no such flag; did you mean --{nearest}?"
    )


MISSING_FLAGS = [
    ("train", "--train_data_pattern, --train_dir"),
    ("train --train_dir=x", "--train_data_pattern"),
    ("finetune --train_dir=x", "--train_data_pattern, --student_checkpoint"),
    ("evaluate", "--eval_data_pattern"),
    ("convert", "--student_checkpoint"),
    ("infer", "--output_file, or to --output_dir"),
    ("make_synthetic_data", "--output_dir"),
    ("compare_scores", "--metrics_files"),
    ("train_autoencoder --train_dir=x", "--train_data_pattern"),
    ("average_checkpoints", "--output_checkpoint"),
    ("ensemble --checkpoints=x", "--eval_data_pattern, --ensemble_file"),
    ("average_predictions", "--predictions, --output_file"),
    ("score_predictions --predictions=x", "--labels"),
    ("convert_predictions", "--predictions, --output_file"),
    ("check_data", "--output_dir"),
    ("download_yt8m --mirror=us", "--partition, --output_dir"),
    ("write_labels", "--input_data_pattern, --output_file"),
]


@pytest.mark.parametrize(("words", "missing"), MISSING_FLAGS)
def test_missing_flags_are_named(words, missing):
    done = run_script(*words.split(), driver=NO_TENSORFLOW, status=1)
    assert error_line(done) == f"ERROR: Give a value to {missing}."


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--batch_size=0", "batch_size must be 1 or more, got 0."),
        ("--model=LstmModell", "Unknown model 'LstmModell'"),
        ("--optimizer=Adams", "Unknown optimizer 'Adams'. Did you mean 'Adam'"),
        ("--label_loss=hinge", "Did you mean 'HingeLoss'? Choices: Cross"),
        ("--dataset=yt8m", "Unknown frame-level dataset 'yt8m'"),
        ("--feature_sizes=a,b", "feature_sizes must be whole numbers"),
        ("--every_n=0", "every_n must be 1 or more"),
    ],
)
def test_wrong_value_is_an_error_of_one_line(flag, message):
    places = ["--train_data_pattern=x", "--train_dir=/nowhere/x"]
    done = run_script("train", *places, flag, driver=NO_TENSORFLOW, status=1)
    assert message in error_line(done)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("--train_data_pattern=/nowhere/*", "No file matches '/nowhere/*'"),
        ("--feature_sizes=12,5", "feature 'audio' has 4 bytes instead of 5"),
        pytest.param(
            "--student_gru_cells=7",
            "gru_cells is no size of",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_run_that_cannot_start_is_an_error_of_one_line(
    videos, tmp_path, change, message
):
    done = run_script(
        "train",
        *network_flags(),
        *training_flags(videos),
        f"--train_dir={tmp_path}/run",
        change,
        status=1,
    )
    assert message in error_line(done)


@pytest.mark.slow
def test_video_level_model_trains_and_is_scored(
    videos, video_level_videos, tmp_path
):
    run_script(
        "train",
        *video_level_flags(video_level_videos),
        f"--train_dir={tmp_path}",
        "--model=MoeModel",
        "--optimizer=AdagradOptimizer",
        "--regime=labels",
        "--num_epochs=5",
        "--base_learning_rate=0.3",
    )
    checkpoint = tmp_path / "checkpoint-00000025.h5"
    with h5py.File(checkpoint) as file:
        weights = set(file["student/classifier"])
        settings = json.loads(file.attrs["settings"])
    assert weights == {"experts_bias", "experts_kernel", "gates_kernel"}
    assert settings["training"]["optimizer"] == "Adagrad"
    reader = validation_reader(video_level_videos, video_schema())
    scores = evaluate_checkpoint(checkpoint, "student", reader)
    assert scores["num_videos"] == 40
    assert scores["gap"] > gap_of_frequencies(videos) + 0.05


def gap_of_frequencies(videos: Path) -> float:
    """Returns the GAP of saying the training videos' shares for every one."""
    shares = [0.0] * NUM_CLASSES
    for labels in true_labels(videos, "train").values():
        for label in labels:
            shares[label] += 1
    labels = true_labels(videos)
    rankings = dict.fromkeys(labels, plain_metrics.rank(shares))
    return plain_metrics.score_videos(rankings, labels, 20)["gap"]
