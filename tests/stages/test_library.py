"""The functions of the package beside the verbs of the command line."""

import doctest
import shutil
import signal
import threading

import keras
import numpy as np
import pytest
import stage_runs
from stored_files import assert_same_checkpoint, checkpoint_steps, read_log

import distill
from distill.models.frame_budget import FrameBudget


class Recorder:
    """Notes the calls of a run; some methods of a callback are missing."""

    def __init__(self):
        self.calls = []

    def on_train_begin(self, logs):
        self.calls.append(("train_begin", None, logs))

    def on_epoch_begin(self, epoch, logs):
        self.calls.append(("epoch_begin", epoch, logs))

    def on_train_batch_end(self, batch, logs):
        self.calls.append(("step", batch, logs))

    def on_epoch_end(self, epoch, logs):
        self.calls.append(("epoch_end", epoch, logs))

    def on_train_end(self, logs):
        self.calls.append(("train_end", None, logs))


class AtStep(keras.callbacks.Callback):
    """Acts after a step of the run, given the callback itself."""

    def __init__(self, step, action):
        super().__init__()
        self.step, self.action, self.steps = step, action, 0

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        if self.steps == self.step:
            self.action(self)


def ask_to_stop(callback):
    callback.model.stop_training = True


def quiet(directory, **options):
    return distill.RunOptions(str(directory), quiet=True, **options)


def test_every_public_name_is_found():
    found = {name: getattr(distill, name) for name in distill.__all__}
    assert found["train"] is distill.train
    assert all(value.__doc__ for value in found.values())
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        _ = distill.trian


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lstm_cells": 8}, "Unknown option of GruModel 'lstm_cells'. Did"),
        ({"gru_cell": 8}, "Unknown option of GruModel 'gru_cell'. Did you me"),
        ({"gru_cells": "8"}, "gru_cells must be int, got '8'"),
        ({"gru_cells": 0}, "gru_cells must be 1 or more, got 0"),
        ({"frame_budget": 5, "every_n": 2}, "every_n=2 belongs to frame_sel"),
    ],
)
def test_a_network_refuses_what_its_model_does_not_have(options, message):
    with pytest.raises(ValueError, match=message):
        distill.network("GruModel", **options)


def test_a_network_has_the_defaults_of_the_command_line():
    network = distill.network("GruModel", gru_cells=8, frame_budget=3)
    assert network.arguments["gru_cells"] == 8
    assert network.arguments["gru_layers"] == 1
    paper = distill.network("GruModel", preset="paper")
    assert paper.arguments["gru_layers"] == 2
    assert network.arguments["video_level_classifier_model"] == "MoeModel"
    assert network.budget == FrameBudget("uniform_k", num_frames=3)


def test_callbacks_find_the_optimizer_and_change_nothing(videos, tmp_path):
    """Loggers of other programs read the learning rate there."""
    settings = stage_runs.pooled_settings(
        videos, num_epochs=1, base_learning_rate=0.25, optimizer="SGD"
    )
    seen = []

    def look(callback):
        optimizer = callback.model.optimizer
        seen.append((float(optimizer.learning_rate), int(optimizer.iterations)))

    looks = [AtStep(2, look)]
    distill.train(settings, quiet(tmp_path / "seen"), callbacks=looks)
    assert seen == [(0.25, 2)]
    distill.train(settings, quiet(tmp_path / "plain"))
    name = f"checkpoint-{stage_runs.STEPS_PER_EPOCH:08d}.h5"
    assert_same_checkpoint(tmp_path / "seen" / name, tmp_path / "plain" / name)


def test_callbacks_are_called_in_order_with_the_logs(videos, tmp_path):
    settings = stage_runs.pooled_settings(videos, num_epochs=2)
    recorder, history = Recorder(), keras.callbacks.History()
    result = distill.train(
        settings,
        quiet(
            tmp_path,
            eval_data_pattern=f"{videos}/validate-*",
            log_every_steps=1,
        ),
        callbacks=[recorder, history],
    )
    steps = stage_runs.STEPS_PER_EPOCH
    names = [(name, number) for name, number, _ in recorder.calls]
    epochs = [
        (name, number)
        for epoch in range(2)
        for name, number in [
            ("epoch_begin", epoch),
            *(("step", step) for step in range(steps)),
            ("epoch_end", epoch),
        ]
    ]
    assert names == [("train_begin", None), *epochs, ("train_end", None)]
    lines = read_log(tmp_path)
    losses = [line["loss"] for line in lines if line["kind"] == "step"]
    logs = [logs for name, _, logs in recorder.calls if name == "step"]
    assert [log["loss"] for log in logs] == losses
    gaps = {
        role: [
            line["gap"]
            for line in lines
            if line["kind"] == "evaluation" and line["role"] == role
        ]
        for role in ("student", "teacher")
    }
    assert history.history["val_gap"] == gaps["student"]
    assert history.history["val_teacher_gap"] == gaps["teacher"]
    expected = [np.mean(losses[:steps]), np.mean(losses[steps:])]
    np.testing.assert_allclose(history.history["loss"], expected, rtol=1e-6)
    assert result.history == history.history | {"epoch": [0, 1]}
    assert (result.ending, result.best_gap) == (
        "complete",
        max(gaps["student"]),
    )
    assert result.best == tmp_path / "best.h5"


def test_a_run_that_a_callback_stopped_goes_on_to_the_same_weights(
    video_level_videos, video_level_run, tmp_path
):
    settings = stage_runs.video_level_settings(video_level_videos)
    stopped = distill.train(settings, quiet(tmp_path), [AtStep(7, ask_to_stop)])
    assert stopped.ending == "callback"
    assert stopped.checkpoint == tmp_path / "checkpoint-00000007.h5"
    done = distill.train(settings, quiet(tmp_path))
    assert done.ending == "complete"
    assert done.history["epoch"] == [1, 2]
    assert_same_checkpoint(
        done.checkpoint, video_level_run / done.checkpoint.name
    )


def test_ctrl_c_reaches_the_caller_once_the_state_is_saved(videos, tmp_path):
    settings = stage_runs.logistic_settings(videos, FrameBudget.every(4))
    handler = signal.getsignal(signal.SIGINT)

    def interrupt(callback):
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        distill.train(settings, quiet(tmp_path), [AtStep(2, interrupt)])
    assert signal.getsignal(signal.SIGINT) is handler
    assert checkpoint_steps(tmp_path) == [2]


def test_a_run_in_a_thread_sets_no_handlers(videos, tmp_path):
    settings = stage_runs.logistic_settings(videos, FrameBudget.every(4))
    handler, seen = signal.getsignal(signal.SIGINT), []

    def train():
        callback = AtStep(2, lambda _: seen.append(signal.getsignal(2)))
        seen.append(distill.train(settings, quiet(tmp_path), [callback]))

    thread = threading.Thread(target=train)
    thread.start()
    thread.join()
    assert seen[0] is handler
    assert seen[1].ending == "complete"


def test_exports_in_training_need_their_function(videos, tmp_path):
    settings = stage_runs.student_settings(videos)
    with pytest.raises(ValueError, match="export_model_steps=2 needs `expo"):
        distill.train(settings, quiet(tmp_path, export_model_steps=2))


def test_a_run_s_directory_stands_for_its_best_or_newest_checkpoint(
    joint_run, videos, tmp_path
):
    newest = joint_run / "checkpoint-00000015.h5"
    scores = distill.evaluate(joint_run, f"{videos}/validate-*")
    assert scores["checkpoint"] == str(newest)
    assert distill.Predictor.load(joint_run).name == newest.name
    shutil.copy(joint_run / "checkpoint-00000005.h5", tmp_path / "best.h5")
    assert distill.Predictor.load(tmp_path).name == "best.h5"
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ValueError, match="There is no checkpoint in"):
        distill.Predictor.load(empty)


@pytest.mark.slow
def test_the_verb_and_the_function_train_the_same_weights(videos, tmp_path):
    pattern = f"--eval_data_pattern={videos}/validate-*"
    stage_runs.run_script(
        "train",
        f"--train_dir={tmp_path}/verb",
        pattern,
        "--moe_l2=1e-6",
        *stage_runs.training_flags(videos),
        *stage_runs.network_flags(),
    )
    options = quiet(
        tmp_path / "library", eval_data_pattern=f"{videos}/validate-*"
    )
    result = distill.train(stage_runs.joint_settings(videos), options)
    assert_same_checkpoint(
        result.checkpoint, tmp_path / "verb" / result.checkpoint.name
    )
    assert_same_checkpoint(result.best, tmp_path / "verb" / "best.h5")


@pytest.mark.slow
def test_the_examples_of_the_docstrings_print_what_they_say(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    clips = [
        (str(n), {"rgb": random.normal(n % 2, 1, [20, 8])}, n % 2)
        for n in range(40)
    ]
    packed = distill.write_records(
        clips, "runs/packed", distill.PackSettings(validate_fraction=0.5)
    )
    names = {"distill": distill, "np": np, "packed": packed}
    runner = doctest.DocTestRunner()
    for function in (
        distill.network,
        distill.build_model,
        distill.train,
        distill.evaluate,
        distill.convert,
        distill.finetuning_settings,
        distill.export,
    ):
        (test,) = doctest.DocTestFinder().find(
            function, function.__name__, globs=dict(names)
        )
        assert test.examples
        assert not runner.run(test).failed, function.__name__
