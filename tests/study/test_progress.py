"""The estimate of a study's time against sums by hand, with a fake timer."""

import dataclasses

import pytest
import tensorflow as tf

from distill.models.frame_budget import FrameBudget
from distill.settings.run import NetworkSettings, RunSettings
from distill.settings.schema import make_schema
from distill.settings.training import DistillationSettings, TrainingSettings
from distill.study import cascades, runner
from distill.study.plan import CascadePlan, Study, Unit
from distill.study.progress import Estimate, Parts
from distill.study.runner import describe_inputs, read_result, write_json
from distill.study.stage_timer import StageTime

# By the frames of a training.
TIMES = {
    1: StageTime(10.0, 1.0, 0.1, 2.0, 0.01),
    10: StageTime(28.0, 1.0, 1.0, 11.0, 0.01),
}
# On the line between them.
TIME_AT_2 = StageTime(12.0, 1.0, 0.2, 3.0, 0.01)


class FakeTimer:
    """Answers from a table, and keeps what it was asked for."""

    def __init__(self, times):
        self.times = times
        self.asked = []

    def time(self, settings, eval_data_pattern):
        frames = settings.student.budget.width(10)
        self.asked.append((frames, len(settings.teacher_checkpoints)))
        return self.times[frames]


@pytest.fixture
def make_unit(tmp_path):
    """Returns a function that makes a unit on 195 records, scored on 60."""
    for name, count in (("train", 195), ("validate", 60)):
        with tf.io.TFRecordWriter(str(tmp_path / name)) as writer:
            for _ in range(count):
                writer.write(b"x" * 40)

    def make(frames, seed=0, num_epochs=2, teachers=()):
        budget = FrameBudget("uniform_k", num_frames=frames)
        settings = RunSettings(
            make_schema("audioset"),
            NetworkSettings("FrameLevelLogisticModel", {}, budget),
            # 20 videos a step: ten steps an epoch, the last of 15 videos.
            TrainingSettings(
                f"{tmp_path}/train",
                batch_size=20,
                num_epochs=num_epochs,
                seed=seed,
            ),
            distillation=DistillationSettings() if teachers else None,
            teacher_checkpoints=tuple(str(t.checkpoint) for t in teachers),
        )
        kind = "taught" if teachers else "labels"
        directory = tmp_path / f"{kind}{frames}_{seed}_{num_epochs}"
        evaluations = {frames: budget}
        pattern = f"{tmp_path}/validate"
        return Unit(
            kind, frames, seed, directory, (settings,), evaluations, pattern
        )

    return make


def make_study(teacher, *units):
    return Study(teacher.directory, (teacher,), units, (1, 2), "labels", "", {})


def test_an_estimate_adds_starts_steps_and_scoring_up(make_unit):
    teacher = make_unit(10, num_epochs=4)
    units = [make_unit(1), make_unit(2, 0), make_unit(2, 1)]
    estimate = Estimate(make_study(teacher, *units))
    timer = FakeTimer(TIMES)
    assert estimate.measure(timer) == 2
    assert timer.asked == [(1, 0), (10, 0)]
    # Start, first waits of the epochs, steps, scoring of 60 videos.
    seconds = [
        28 + 4 * 1 + 40 * 1.0 + 11 + 0.6,
        10 + 2 * 1 + 20 * 0.1 + 2 + 0.6,
        12 + 2 * 1 + 20 * 0.2 + 3 + 0.6,
        12 + 2 * 1 + 20 * 0.2 + 3 + 0.6,
    ]
    estimated = [estimate.seconds(unit) for unit in (teacher, *units)]
    assert estimated == pytest.approx(seconds)
    assert estimate.seconds_left() == pytest.approx(sum(seconds))
    of_two_frames = list(estimate.by_kind())[-1]
    assert of_two_frames.num_trainings == 2
    title = "FrameLevelLogisticModel on labels, 2 frames"
    assert of_two_frames.title == title
    assert of_two_frames.parts == pytest.approx(Parts(28, 8, 7.2))


def test_kinds_differ_by_their_teachers(make_unit):
    teacher = make_unit(10)
    units = [make_unit(2), make_unit(2, 1, teachers=[teacher])]
    estimate = Estimate(make_study(teacher, *units))
    timer = FakeTimer(TIMES | {2: TIME_AT_2})
    estimate.measure(timer)
    assert sorted(timer.asked) == [(2, 0), (2, 1), (10, 0)]
    titles = [kind.title for kind in estimate.by_kind()]
    assert titles[-1] == (
        "FrameLevelLogisticModel from 1 trained teacher, 2 frames"
    )


def test_a_finished_training_corrects_those_of_its_kind(make_unit):
    teacher = make_unit(10)
    first, second, other = make_unit(2, 0), make_unit(2, 1), make_unit(1)
    estimate = Estimate(make_study(teacher, first, second, other))
    estimate.measure(FakeTimer(TIMES))
    timed, others = estimate.seconds(second), estimate.seconds(other)
    estimate.finish(first, {"seconds": None, "evaluation_seconds": 1.0})
    assert estimate.seconds(second) == timed
    taken = {"seconds": 2 * timed, "evaluation_seconds": timed}
    estimate.finish(first, taken)
    assert estimate.seconds(second) == pytest.approx(3 * timed)
    assert estimate.seconds(other) == others
    assert first not in estimate.todo


def test_kinds_that_are_done_are_not_timed(make_unit):
    teacher, done = make_unit(10), make_unit(2)
    left = make_unit(2, 1, num_epochs=6)
    for unit in (teacher, done):
        result = {"seconds": 30.0, "described": unit.describe()}
        unit.directory.mkdir()
        write_json(unit.directory / "result.json", result)
    estimate = Estimate(make_study(teacher, done, left))
    timer = FakeTimer({})
    assert estimate.measure(timer) == 0
    # Three times the steps of the one that is done.
    assert estimate.seconds_left() == pytest.approx(90)
    (kind,) = estimate.by_kind()
    assert kind.parts is None


def test_a_kind_that_is_done_may_be_timed_as_a_stage(make_unit):
    teacher, done, left = make_unit(10), make_unit(2), make_unit(2, 1)
    two_stages = make_unit(2, 2)
    two_stages = dataclasses.replace(two_stages, stages=two_stages.stages * 2)
    estimate = Estimate(make_study(teacher, done, left, two_stages))
    estimate.finish(done, {"seconds": 30.0})
    estimate.measure(FakeTimer(TIMES | {2: TIME_AT_2}))
    assert estimate.seconds(left) == pytest.approx(30)


def test_a_signal_ends_the_timing(make_unit):
    estimate = Estimate(make_study(make_unit(10), make_unit(2)))
    assert estimate.measure(FakeTimer({}), caught=["SIGTERM"]) == 0


def finish(unit):
    """Writes a unit's result, as `run_unit` does."""
    result = {"seconds": 30.0, "described": unit.describe()}
    unit.directory.mkdir(exist_ok=True)
    result["inputs"] = describe_inputs(unit)
    write_json(unit.directory / "result.json", result)


@pytest.fixture
def forget():
    """Returns a function that forgets the files as they were."""

    def clear():
        runner.list_data.cache_clear()

    clear()
    return clear


@pytest.mark.parametrize("name", ["train", "validate"])
def test_a_result_of_other_data_is_none(make_unit, tmp_path, forget, name):
    unit = make_unit(1)
    finish(unit)
    assert read_result(unit)["seconds"] == 30
    data = tmp_path / name
    data.write_bytes(2 * data.read_bytes())
    forget()
    assert read_result(unit) is None
    data.unlink()
    forget()
    # It cannot be made again, so it stays.
    assert read_result(unit)["seconds"] == 30


def test_a_result_of_another_teacher_is_none(make_unit):
    teacher = make_unit(10)
    unit = make_unit(2, teachers=[teacher])
    finish(teacher)
    teacher.checkpoint.write_text("first")
    finish(unit)
    assert Estimate(make_study(teacher, unit)).todo == []
    teacher.checkpoint.write_text("another")
    assert read_result(unit) is None
    assert Estimate(make_study(teacher, unit)).todo == [unit]


def test_students_of_a_teacher_that_is_not_done_are_not_done(make_unit):
    teacher, others = make_unit(10), make_unit(2)
    unit = make_unit(2, teachers=[teacher])
    for each in (teacher, others, unit):
        finish(each)
    (teacher.directory / "result.json").unlink()
    study = make_study(teacher, others, unit)
    assert Estimate(study).todo == [teacher, unit]


def test_a_unit_of_other_data_starts_anew(make_unit, tmp_path, forget):
    unit, lines = make_unit(1), []
    assert runner._prepare(unit, describe_inputs(unit), lines.append)
    assert not runner._prepare(unit, describe_inputs(unit), lines.append)
    data = tmp_path / "train"
    data.write_bytes(2 * data.read_bytes())
    forget()
    assert runner._prepare(unit, describe_inputs(unit), lines.append)
    assert lines == [
        "labels, k=1, seed 0: its training files have changed; it starts anew"
    ]


def test_a_cascade_calibrated_on_other_data_is_measured_again(
    make_unit, tmp_path, forget, monkeypatch
):
    unit, calls = make_unit(1), []
    unit.directory.mkdir()
    plan = CascadePlan("labels", (1,), 1.0, f"{tmp_path}/train")

    def measure(*arguments):
        calls.append(arguments)
        return {"gap": 0.5, "mean_frames": len(calls)}

    monkeypatch.setattr(cascades, "_measure", measure)
    first = {"gap": 0.5, "mean_frames": 1}
    assert cascades._run(plan, unit) == cascades._run(plan, unit) == first
    data = tmp_path / "train"
    data.write_bytes(2 * data.read_bytes())
    forget()
    assert cascades._run(plan, unit) == {"gap": 0.5, "mean_frames": 2}
