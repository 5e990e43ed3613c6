"""The frame-budget study on small videos: grid, resuming, results."""

import csv
import json
import signal

import pytest
from stage_runs import (
    ROOT,
    error_line,
    network_flags,
    run_script,
    start_script,
    to_flags,
    validation_reader,
)

from distill.checkpoints.checkpoint import read_settings
from distill.evaluation.evaluate import evaluate_network
from distill.models.frame_budget import FrameBudget
from distill.networks.loading import load_network
from tests.hang_guard import HANG_SECONDS, wait_until

NAMES = ["No teacher", "Serial", "Two stages", "All budgets"]
NO_TEACHER = 'row("No teacher", regime="labels"),'
ROWS = f"""{NO_TEACHER}
row("Serial", regime="serial", random_offset=True, num_teachers=1),
row(
    "Two stages",
    regime="mimic",
    representation_loss_weight=1,
    then={{"num_epochs": 1, "base_learning_rate": 0.001}},
),
row(
    "All budgets",
    regime="serial",
    frame_selection="random_k",
    fewest_frames=1,
    evaluation_selection="nested_k",
),
"""


def study_flags(videos, study_dir, rows=ROWS, **changed):
    """Returns the flags of a study of a few seconds, and writes its rows."""
    file = study_dir.parent / f"{study_dir.name}_rows.py"
    start = "from distill.study.rows import row\nROWS = [\n"
    file.write_text(f"{start}{rows}\n]\n")
    networks = [f for f in network_flags() if not f.startswith("--every_n")]
    flags = {
        "train_data_pattern": f"{videos}/train-*.tfrecord",
        "eval_data_pattern": f"{videos}/validate-*.tfrecord",
        "calibration_data_pattern": f"{videos}/validate-*.tfrecord",
        "study_dir": study_dir,
        "study_rows": file,
        "batch_size": 16,
        "num_epochs": 1,
        "ema_half_life": 5,
        "budgets": "2,6",
        "seeds": "3",
        "teacher_seeds": "0,1",
        "teacher_flags": "--num_epochs=2",
        "cascade_rows": "All budgets" if "All budgets" in rows else "",
        "cascade_means": "3.5",
    }
    return networks + to_flags(flags | changed)


@pytest.fixture(scope="module")
def study(videos, tmp_path_factory):
    """Returns the directory of a study, and what its commands printed."""
    directory = tmp_path_factory.mktemp("study")
    flags = study_flags(videos, directory)
    # The time of each kind of training is measured first.
    first = run_script("study", *flags, "--max_runs=4")
    second = run_script("study", *flags)
    again = run_script("study", *flags)
    return directory, [done.stdout for done in (first, second, again)]


def read_json(path):
    return json.loads(path.read_text())


@pytest.mark.nightly
def test_grid_is_run_once_over_several_calls(study):
    _, (first, second, again) = study
    lines = [line for line in first.splitlines() if line.startswith("[")]
    assert [line.split("]")[0] for line in lines] == [
        f"[{number}/9" for number in (1, 2, 3, 4)
    ]
    assert "[1/9] Teacher, seed 0: GAP 0." in first
    lines = [line for line in second.splitlines() if line.startswith("[")]
    assert [line.split(": ")[0] for line in lines] == [
        "[5/9] Serial, k=2, seed 3",
        "[6/9] Serial, k=6, seed 3",
        "[7/9] Two stages, k=2, seed 3",
        "[8/9] Two stages, k=6, seed 3",
        "[9/9] All budgets, k=6, seed 3",
    ]
    assert "to go" in lines[0]
    assert not [line for line in again.splitlines() if line.startswith("[")]


@pytest.mark.nightly
def test_results_are_those_of_the_checkpoints(study, videos):
    directory, _ = study
    results = read_json(directory / "results.json")
    assert results["budgets"] == [2, 6]
    assert results["baseline"] == "No teacher"
    assert [row["name"] for row in results["rows"]] == NAMES
    reader = validation_reader(videos)
    for row in results["rows"]:
        slug = row["name"].lower().replace(" ", "_")
        assert [run["k"] for run in row["runs"]] == [2, 6]
        for run in row["runs"]:
            folder = directory / f"runs/{slug}/k{run['trained_k']}/seed3"
            checkpoint = sorted(folder.glob("stage*.h5"))[-1]
            kind = "nested_k" if slug == "all_budgets" else "uniform_k"
            budget = FrameBudget(kind, num_frames=run["k"])
            network = load_network(checkpoint, "student", budget=budget)
            scores = evaluate_network(network, reader)
            assert run["gap"] == pytest.approx(scores["gap"], abs=1e-6)
            cost = row["costs"][str(run["k"])]
            assert cost["macs"] == network.macs
            assert cost["bytes_read"] == run["k"] * 16
            assert cost["milliseconds_at_64"] > 0
    assert len(results["teacher"]["runs"]) == 2
    (cascade,) = results["cascades"][0]["runs"]
    assert cascade["mean_frames"] == pytest.approx(3.5, abs=0.7)


@pytest.mark.nightly
def test_units_are_trained_as_their_rows_say(study):
    directory, _ = study
    teachers = [
        f"{directory}/teachers/teacher/seed{seed}/stage0.h5" for seed in (0, 1)
    ]
    path = directory / "runs/{}/k6/seed3/stage{}.h5"
    serial = read_settings(str(path).format("serial", 0))
    assert serial.student.budget.random_offset
    assert serial.training.seed == 3
    stages = [read_settings(str(path).format("two_stages", n)) for n in (0, 1)]
    assert stages[1].initial_checkpoint == str(path).format("two_stages", 0)
    assert stages[1].training.base_learning_rate == 0.001
    described = read_json(directory / "runs/all_budgets/k6/seed3/unit.json")
    assert described[0]["teacher_checkpoints"] == teachers
    described = read_json(directory / "runs/serial/k6/seed3/unit.json")
    assert described[0]["teacher_checkpoints"] == teachers[:1]


@pytest.mark.nightly
def test_report_and_table_name_every_row(study):
    directory, _ = study
    report = (directory / "report.md").read_text()
    page = (directory / "report.html").read_text()
    for name in NAMES:
        assert name in report
        assert name in page
    with open(directory / "results.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert {line["row"] for line in lines} >= set(NAMES)


@pytest.mark.nightly
def test_dry_run_shows_the_missing_units_and_writes_nothing(videos, tmp_path):
    rows = ROWS[ROWS.index('row(\n    "All') :]
    flags = study_flags(
        videos,
        tmp_path / "study",
        rows,
        cascade_rows="",
        budgets="2,4,6",
    )
    done = run_script("study", *flags, "--dry_run")
    assert "3 trainings, 0 done; the others take about" in done.stdout
    assert "nested_k=2, nested_k=4, nested_k=6" in done.stdout
    assert "from 2 trained teachers, 6 frames" in done.stdout
    # The two teachers are of one kind.
    assert "timed some steps of 2 kinds of training, in" in done.stdout
    assert not (tmp_path / "study").exists()


def test_a_report_is_written_again_without_training(tmp_path):
    flags = ["--study_dir", tmp_path, "--report_only"]
    missing = error_line(run_script("study", *flags, status=1))
    assert f"{tmp_path}/results.json cannot be read" in missing
    documented = ROOT / "docs/study_joined_hlstm/results.json"
    (tmp_path / "results.json").write_bytes(documented.read_bytes())
    done = run_script("study", *flags)
    assert f"wrote {tmp_path}/report.md and report.html" in done.stdout
    assert "# Frame-budget study" in (tmp_path / "report.md").read_text()


@pytest.mark.nightly
def test_signal_stops_a_study_and_it_goes_on(study, videos, tmp_path):
    directory = tmp_path / "study"
    changed = {"budgets": "6", "teacher_seeds": "0"}
    flags = study_flags(videos, directory, NO_TEACHER, **changed)
    done = directory / "teachers/teacher/seed0/unit.json"
    process = start_script("study", *flags)
    wait_until(done.exists, process)
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 1, output + errors
    assert "run the same command to go on" in output
    run_script("study", *flags)
    result = "runs/no_teacher/k6/seed3/result.json"
    again, straight = (read_json(d / result) for d in (directory, study[0]))
    assert again["scores"]["6"]["gap"] == straight["scores"]["6"]["gap"]


BAD_ROWS = [
    ('row("A", regime="no")', "row 'A' at 2 frames: flag --regime=no"),
    ('row("A", epochs=3)', "at 2 frames: --epochs: no such flag; did"),
    ('row("A", at={6: {"seed": "x"}})', "'A' at 6 frames: flag --seed"),
    ('row("A b"), row("A-b")', "'A b' and 'A-b' have the same lett"),
    ('row("A"), row("A")', "two rows have the name 'A'"),
    ('row("A", seeds=3)', "study_rows.py, line 3: TypeError"),
    ('row("A", num_epochs={})', "num_epochs must be a text, a"),
    ('row("A", num_teachers=3)', "must be from 1 to 2, the"),
    ('row("A", budgets=[5])', "row 'A': budgets must be among --bud"),
    ('row("A", at={5: {}})', "among --budgets=2,6, each once"),
    ('row("A", baseline_row="B")', "=B is not one of the rows ['A']"),
    ("", "study_rows.py must define ROWS, a list of rows"),
]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        *(("rows", *case) for case in BAD_ROWS),
        ("study_rows", "none.py", "There is no file 'none.py'."),
        ("cascade_rows", "Serial", "that row has no fewest_frames"),
        ("baseline_row", "B", "--baseline_row=B is not one of the rows"),
        ("teacher_flags", "word", "not a flag: 'word'"),
        ("budgets", "2,x", "budgets must be whole numbers, got 'x'"),
        ("budgets", "2,99", "frame_budget must be at most max_frames 40"),
        ("cascade_means", "few", "cascade_means must be numbers"),
    ],
)
def test_plan_that_cannot_be_run_is_refused(
    videos, tmp_path, name, value, message
):
    flags = study_flags(videos, tmp_path / "study", **{name: value})
    assert message in error_line(run_script("study", *flags, status=1))
    assert not (tmp_path / "study").exists()
