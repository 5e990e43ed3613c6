"""The log of a run: lines, JSON lines, TensorBoard scalars, a bar."""

import os
import pty
import re
from pathlib import Path

import numpy as np
import pytest
import stage_runs
import tensorflow as tf
from stage_runs import (
    NO_TENSORFLOW,
    run_script,
    start_script,
    train_in_process,
)
from stored_files import read_log, read_scalars

from distill.metrics.accumulator import VideoMetrics
from distill.training.run_display import RunDisplay
from distill.training.run_log import RunLog

NETWORKS = {"joint": ["teacher", "student"], "student": ["student"]}
TERMS = {
    regime: [f"{n}_{term}" for n in names for term in ("label_loss", "penalty")]
    for regime, names in NETWORKS.items()
}
TERMS["joint"] += ["representation_loss", "prediction_loss"]


@pytest.mark.parametrize("regime", ["joint", "student"])
def test_json_lines_hold_step_metrics_terms_and_speed(
    joint_run, student_run, regime
):
    lines = read_log({"joint": joint_run, "student": student_run}[regime])
    scores = [
        f"{role}_{name}"
        for role in NETWORKS[regime]
        for name in ("hit_at_one", "perr", "gap")
    ]
    place = ["kind", "step", "epoch", "learning_rate"]
    speed = ["loss", "examples_per_second", "share_waiting"]
    for line in lines:
        assert list(line) == place + scores + TERMS[regime] + speed
        assert all(0 <= line[name] <= 1 for name in scores)
        terms = [line[name] for name in TERMS[regime]]
        assert min(terms) > 0
        assert line["loss"] == pytest.approx(sum(terms), rel=1e-5)
        assert line["examples_per_second"] > 0
        assert 0 < line["share_waiting"] < 1
    assert [line["step"] for line in lines] == [2, 4, 6, 8, 10, 12, 14]
    assert [line["epoch"] for line in lines] == [1, 1, 2, 2, 2, 3, 3]


def test_learning_rate_falls_in_stairs(joint_run):
    # 16 videos a step, 72 an epoch, a factor of 0.9 every 100 videos seen.
    seen = {2: 16, 4: 48, 6: 72, 8: 104, 10: 136, 12: 160, 14: 192}
    for line in read_log(joint_run):
        expected = 0.02 * 0.9 ** (seen[line["step"]] // 100)
        assert line["learning_rate"] == pytest.approx(expected, rel=1e-12)


def test_line_of_a_step_tells_the_metrics_of_its_batch(tmp_path, capsys):
    labels = np.array([[1, 0, 0], [0, 1, 1]], bool)
    predictions = {
        # Both tops are wrong; of the second video's two best one is right.
        # Pooled: 0.9 no, 0.8 no, 0.7 yes, 0.6 yes, 0.5 no, 0.4 yes.
        "teacher": [[0.7, 0.9, 0.5], [0.8, 0.6, 0.4]],
        "student": [[0.9, 0.1, 0.2], [0.3, 0.7, 0.8]],
    }
    teacher_gap = (1 / 3 + 2 / 4 + 3 / 6) / 3
    predictions = {
        role: np.array(values, np.float32)
        for role, values in predictions.items()
    }
    terms = {"student_label_loss": 0.25, "loss": tf.constant(12345.0)}
    place = {"step": 7, "epoch": 2, "learning_rate": 0.5}
    with RunLog(tmp_path, 0, RunDisplay(0, 10, show_terms=True)) as log:
        log.count(6, 1, 30, 2.0)
        log.count(7, 2, 20, 12345.0)
        log.log_step(place, terms, predictions, labels)
    line = read_log(tmp_path)[0]
    assert line.pop("examples_per_second") > 0
    assert line.pop("share_waiting") == 0
    assert line == pytest.approx(
        {
            "kind": "step",
            "step": 7,
            "epoch": 2,
            "learning_rate": 0.5,
            "teacher_hit_at_one": 0.0,
            "teacher_perr": 0.25,
            "teacher_gap": teacher_gap,
            "student_hit_at_one": 1.0,
            "student_perr": 1.0,
            "student_gap": 1.0,
            "student_label_loss": 0.25,
            "loss": 12345.0,
        }
    )
    shown, shown_terms = capsys.readouterr().out.splitlines()
    assert re.fullmatch(
        r"step 7 epoch 2  loss 1\.23e\+04  GAP teacher 0\.444 student 1\.000  "
        r"\d+ videos/s  ETA \d:\d\d:\d\d",
        shown,
    )
    assert shown_terms == "  student_label_loss=0.25 loss=1.234e+04"


def test_row_of_an_epoch_sums_up_its_steps(tmp_path, capsys):
    rng = np.random.default_rng(0)
    batches = [
        (rng.random((4, 3), np.float32), rng.random((4, 3)) < 0.5)
        for _ in range(2)
    ]
    pooled = VideoMetrics()
    pooled.update(*map(np.concatenate, zip(*batches, strict=True)))
    scores = {"student": {"gap": 0.125, "loss": 1.0}}
    with RunLog(tmp_path, 0, RunDisplay(0, 10, 2)) as log:
        for step, batch in enumerate(batches, start=1):
            assert log.has_scores == (step == 2)
            log.count(step, 1, 4, 0.5 * step)
            log.score({"student": batch[0]}, batch[1])
        log.log_evaluation(2, scores)
        log.end_epoch()
        log.count(3, 2, 4, 8.0)
        log.score({"student": np.eye(2, 3)}, np.eye(2, 3, dtype=bool))
        log.log_evaluation(3, scores)
        log.end_epoch()
    titles, first, second = map(
        str.split, capsys.readouterr().out.replace(" GAP", "GAP").splitlines()
    )
    assert titles[:5] == ["epoch", "step", "loss", "studentGAP", "student"]
    gap = pooled.result()["gap"]
    assert first[:5] == ["1", "2", "0.75", f"{gap:.4f}", "0.1250"]
    assert second[:5] == ["2", "3", "8", "1.0000", "0.1250"]


def test_lines_of_large_runs_have_100_columns_at_most(tmp_path, capsys):
    """With both networks scored on training and validation videos."""
    predictions = {r: np.ones((1, 2), np.float32) for r in NETWORKS["joint"]}
    terms = {f"term_{n}_of_the_loss": 1.23456e-5 for n in range(20)}
    terms["loss"] = 12345.0
    place = {"step": 1234567, "epoch": 100, "learning_rate": 0.5}
    display = RunDisplay(1234566, 10**7, 100, show_terms=True)
    with RunLog(tmp_path, 1234566, display) as log:
        log.count(1234567, 100, 1, 12345.0)
        log.log_step(place, terms, predictions, np.ones((1, 2), bool))
        scores = {role: {"gap": 1.0} for role in NETWORKS["joint"]}
        log.log_evaluation(1234567, scores)
        log.end_epoch()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 5
    assert max(map(len, lines)) <= 100, lines


def test_reopened_log_drops_lines_of_steps_that_are_made_again(tmp_path):
    """Before the first new line."""
    kept = '{"kind": "step", "step": 4}\n{"kind": "evaluation", "step": 5}\n'
    later = '{"kind": "step", "step": 6}\n{"kind": "st'
    (tmp_path / "log.jsonl").write_text(kept + later)
    with RunLog(tmp_path, 5, RunDisplay(5, 10)):
        assert (tmp_path / "log.jsonl").read_text() == kept
    assert (tmp_path / "log.jsonl").read_text() == kept


@pytest.mark.parametrize(
    "line",
    [
        *(b"\xff\xfe", b"5", b"[1]", b"{}", b'{"kind": "step", "step": "6"}'),
        *(b'{"kind": "step"}', b"[" * 100_000, b'{"step": 1}'),
    ],
)
def test_reopened_log_drops_damaged_lines(line, tmp_path):
    kept = b'{"kind": "step", "step": 4}\n'
    (tmp_path / "log.jsonl").write_bytes(line + b"\n" + kept)
    with RunLog(tmp_path, 5, RunDisplay(5, 10)):
        assert (tmp_path / "log.jsonl").read_bytes() == kept


def test_tensorboard_holds_the_scalars_of_every_line(joint_run):
    expected = {
        (name, line["step"]): value
        for line in read_log(joint_run)
        for name, value in line.items()
        if name not in ("kind", "step", "epoch")
    }
    found = read_scalars(joint_run / "events" / "train")
    assert found == pytest.approx(expected, rel=1e-6)


def test_validation_is_logged_as_all_metrics(video_level_videos, tmp_path):
    settings = stage_runs.video_level_settings(video_level_videos, num_epochs=2)
    pattern = f"{video_level_videos}/validate-*.tfrecord"
    train_in_process(
        settings, tmp_path, eval_data_pattern=pattern, log_every_steps=5
    )
    lines = [x for x in read_log(tmp_path) if x["kind"] == "evaluation"]
    assert [line["step"] for line in lines] == [5, 10]
    names = {"gap", "hit_at_one", "perr", "mean_average_precision", "loss"}
    assert all(names < line.keys() for line in lines)
    scalars = read_scalars(tmp_path / "events" / "validation")
    tags = {"student_gap": "gap", "student_label_loss": "loss"}
    for line in lines:
        for tag, name in tags.items():
            found = scalars[tag, line["step"]]
            assert found == pytest.approx(line[name], rel=1e-6)
    # Training has scalars of the same tags.
    assert tags.keys() < {
        tag for tag, _ in read_scalars(tmp_path / "events" / "train")
    }


# Messages that TensorBoard 2.21 wrote, `HParamsPluginData`.
HYPERPARAMETERS = {
    ("training.base_learning_rate", 0.02): b"\x1a*\n(\n\x1btraining."
    b"base_learning_rate\x12\t\x11{\x14\xaeG\xe1z\x94?",
    ("mimic", False): b"\x1a\r\n\x0b\n\x05mimic\x12\x02 \x00",
    ("a", "x" * 200): b"\x1a\xd4\x01\n\xd1\x01\n\x01a\x12\xcb\x01\x1a\xc8\x01"
    + b"x" * 200,
}


@pytest.mark.parametrize("name_and_value", HYPERPARAMETERS)
def test_settings_are_tensorboard_s_hyperparameters(tmp_path, name_and_value):
    with RunLog(tmp_path, 0, RunDisplay(0, 10, 1)) as log:
        log.log_settings(dict([name_and_value]) | {"teacher": None})
    (path,) = (p for p in (tmp_path / "events").iterdir() if p.is_file())
    _, record = tf.data.TFRecordDataset(str(path))
    (value,) = tf.compat.v1.Event.FromString(record.numpy()).summary.value
    assert value.tag == "_hparams_/session_start_info"
    assert value.metadata.plugin_data.plugin_name == "hparams"
    content = value.metadata.plugin_data.content
    assert content == HYPERPARAMETERS[name_and_value]


def fast_training_flags(videos: Path, train_dir: Path) -> list[str]:
    """Returns flags of a fast run of ten steps."""
    return [
        *stage_runs.video_level_flags(videos),
        "--model=LogisticModel",
        "--regime=labels",
        "--num_epochs=2",
        "--log_every_steps=5",
        f"--train_dir={train_dir}",
    ]


@pytest.mark.slow
def test_lines_are_plain_where_there_is_no_terminal(
    video_level_videos, tmp_path
):
    done = run_script(
        "train", *fast_training_flags(video_level_videos, tmp_path)
    )
    assert done.stderr == ""
    form = (
        r"step \d+ epoch \d  loss \S+  GAP student 0\.\d{3}  \d+ videos/s  "
        r"ETA \d:\d\d:\d\d"
    )
    lines = done.stdout.splitlines()
    steps = [line for line in lines if line.startswith("step ")]
    assert len(steps) == 2
    assert all(re.fullmatch(form, line) for line in steps), done.stdout
    for shown in ("\x1b", "\r", "━"):
        assert shown not in done.stdout


def test_the_run_is_named_before_tensorflow_starts(tmp_path):
    flags = ("--train_data_pattern=none", f"--train_dir={tmp_path}")
    done = run_script("train", *flags, driver=NO_TENSORFLOW, status=None)
    assert done.stdout == f"distill train, {tmp_path}: TensorFlow starts\n"
    assert done.stderr.startswith("ERROR: tensorflow is not installed:")


@pytest.mark.slow
def test_terminal_shows_a_bar_with_the_time_left(video_level_videos, tmp_path):
    controller, terminal = pty.openpty()
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE")
    }
    with start_script(
        "train",
        *fast_training_flags(video_level_videos, tmp_path),
        stdout=terminal,
        stderr=terminal,
        env=environment | {"TERM": "xterm", "COLUMNS": "200"},
    ) as process:
        os.close(terminal)
        output = read_all(controller)
    assert process.returncode == 0, output
    output = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", output)
    assert re.search(r"epoch 2/2 .*10/10 .*loss .*GAP student .*ETA", output)
    assert re.search(r" epoch +step +loss +student GAP +student val", output)
    assert re.search(r" 2 +10 +[\d.]+ +0\.\d{4} +0\.\d{4} ", output)
    assert "step 5 epoch 1" not in output


def read_all(controller: int) -> str:
    """Returns all that a terminal was sent until its end was closed."""
    chunks = []
    while True:
        try:
            chunk = os.read(controller, 65536)
        except OSError:  # Linux: the other end is closed
            break
        if not chunk:
            break
        chunks.append(chunk)
    os.close(controller)
    return b"".join(chunks).decode()
