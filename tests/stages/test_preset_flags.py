"""The flag `--preset`: the settings of a run where no flag gives them."""

import dataclasses
import json

import pytest
import stage_runs

from distill.models import registry
from distill.models.frame_budget import ALL_FRAMES, FrameBudget
from distill.models.presets import SMALL_SIZES
from distill.settings.run import RunSettings
from distill.settings.training import SMALL_TRAINING, TrainingSettings

# Reads each command line, and what fine-tuning of its student would take.
READ_SETTINGS = """
import json, sys
from absl.testing import flagsaver
from distill.cli import experiment, train
from distill.cli.flag_groups import STUDENT_FILE
from distill.cli.flag_parsing import parse_flags
from distill.cli.settings_flags import FLAGS, define
define((*train.FLAG_GROUPS, STUDENT_FILE))
for words in json.loads(sys.argv[1]):
    with flagsaver.flagsaver():
        parse_flags(["train", "--train_data_pattern=x", *words])
        run = experiment.run_settings(FLAGS.regime)
        FLAGS.lstm_cells = FLAGS.student_lstm_cells = None
        tuned = None
        if run.student and FLAGS.regime != "teacher":
            tuned = experiment.finetuning_settings(run).to_json()
        print(json.dumps([run.to_json(), tuned]))
"""
PAPER_TRAINING = {
    field.name: field.default
    for field in dataclasses.fields(TrainingSettings)
    if field.name in SMALL_TRAINING
}


def read_settings(*command_lines):
    """Returns a run's and its fine-tuning's settings for each command."""
    printed = stage_runs.run_python(READ_SETTINGS, json.dumps(command_lines))
    return [
        [RunSettings.from_json(text) for text in json.loads(line) if text]
        for line in printed.splitlines()
    ]


@pytest.fixture(scope="module")
def flagfile(tmp_path_factory):
    """Returns a flagfile that gives a size and a setting of training."""
    path = tmp_path_factory.mktemp("flags") / "own.cfg"
    path.write_text("--lstm_cells=1024\n--batch_size=256\n")
    return f"--flagfile={path}"


def assert_training(settings, expected):
    found = dataclasses.asdict(settings.training)
    assert found == found | expected


def test_a_preset_sets_what_no_flag_gives():
    small, paper = read_settings([], ["--preset=paper"])
    model = "HierarchicalLstmModel"
    for (run, tuned), name, training in (
        (small, "small", SMALL_TRAINING),
        (paper, "paper", PAPER_TRAINING),
    ):
        sizes = registry.resolve_arguments(model, {}, name)
        for network in (run.teacher, run.student, tuned.student):
            assert network.arguments == sizes
        assert_training(run, training)
        assert_training(tuned, training)
    assert paper[0].student.arguments["lstm_cells"] == 1024
    assert paper[0].training.batch_size == 256


def test_given_flags_win_in_flagfiles_and_on_the_command_line(flagfile):
    """Also where they give the other preset's value."""
    (small, tuned), (paper, _) = read_settings(
        [flagfile, "--num_epochs=5", "--student_lstm_layers=2"],
        ["--preset=paper", f"--lstm_cells={SMALL_SIZES['lstm_cells']}"]
        + [f"--{name}={value}" for name, value in SMALL_TRAINING.items()],
    )
    expected = SMALL_TRAINING | {"batch_size": 256, "num_epochs": 5}
    assert_training(small, expected)
    assert small.teacher.arguments["lstm_cells"] == 1024
    assert small.teacher.arguments["lstm_layers"] == 1
    assert small.student.arguments["lstm_layers"] == 2
    assert_training(paper, SMALL_TRAINING)
    assert paper.teacher.arguments["lstm_cells"] == SMALL_SIZES["lstm_cells"]
    assert paper.teacher.arguments["lstm_layers"] == 2
    # Fine-tuning takes the student's sizes from its checkpoint.
    assert tuned.student.arguments == small.student.arguments


def test_a_taught_student_sees_every_fifth_frame_unless_flags_say_more():
    alone = ["--regime=labels"]
    video_level = "--frame_features=false"
    command_lines = {
        (): FrameBudget.every(5),
        ("--regime=serial", "--teacher_checkpoints=x"): FrameBudget.every(5),
        ("--every_n=3",): FrameBudget.every(3),
        ("--every_n=1",): ALL_FRAMES,
        ("--frame_budget=4",): FrameBudget("uniform_k", num_frames=4),
        ("--preset=paper",): ALL_FRAMES,
        (*alone,): ALL_FRAMES,
        ("--segment_labels",): ALL_FRAMES,
        (video_level, "--model=MoeModel"): ALL_FRAMES,
    }
    found = read_settings(*map(list, command_lines))
    budgets = [run.student.budget for run, _ in found]
    assert budgets == list(command_lines.values())


def test_an_unknown_preset_is_an_error_of_one_line():
    done = stage_runs.run_script(
        "train", "--preset=tiny", driver=stage_runs.NO_TENSORFLOW, status=1
    )
    message = "Unknown preset 'tiny'. Choices: paper, small."
    assert message in stage_runs.error_line(done)
