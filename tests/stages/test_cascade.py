"""The cascade against one video after another, and its two commands."""

import json

import numpy as np
import pytest
from stage_runs import (
    MAX_FRAMES,
    NUM_VALIDATE_VIDEOS,
    error_line,
    logistic_settings,
    predict_all,
    run_script,
    train_in_process,
)

from distill.evaluation.cascade import Cascade, CascadeNetwork, calibrate
from distill.models.frame_budget import FrameBudget
from distill.networks.loading import load_network
from tests.training.tiny_networks import make_student

BUDGETS = (1, 3, 8)


@pytest.fixture(scope="module")
def checkpoint(videos, tmp_path_factory):
    """Returns a student of 1 to 8 frames after an epoch."""
    budget = FrameBudget("random_k", num_frames=8, fewest_frames=1)
    settings = logistic_settings(videos, budget, base_learning_rate=0.05)
    directory = tmp_path_factory.mktemp("every_budget")
    train_in_process(settings, directory)
    return directory / "checkpoint-00000005.h5"


@pytest.fixture(scope="module")
def network(checkpoint):
    return load_network(checkpoint, "student")


def test_video_ends_at_the_first_stage_that_is_sure(network, reader):
    budgets = [FrameBudget("nested_k", num_frames=k) for k in BUDGETS]
    stages = [predict_all(network.at_budget(b), reader)[1] for b in budgets]
    thresholds = [float(np.quantile(s.max(axis=1), 0.6)) for s in stages[:-1]]
    run = CascadeNetwork(network, Cascade(BUDGETS, tuple(thresholds)))
    assert run.frames_needed == 8
    _, found = predict_all(run, reader)
    ended = []
    batches = [batch["num_frames"] for batch in reader.read_once()]
    for video, num_frames in enumerate(np.concatenate(batches)):
        stage = 0
        while stage < 2 and stages[stage][video].max() < thresholds[stage]:
            stage += 1
        ended.append((stage, min(BUDGETS[stage], num_frames)))
        np.testing.assert_allclose(
            found[video], stages[stage][video], atol=1e-6
        )
    last, frames = np.array(ended).T
    assert set(last) == {0, 1, 2}
    np.testing.assert_array_equal(np.concatenate(run.frames_seen), frames)
    assert run.mean_frames() == pytest.approx(frames.mean())
    shares = [np.mean(last == stage) for stage in range(3)]
    assert run.shares() == pytest.approx(shares)
    costs = [network.model.macs(k) for k in BUDGETS]
    spent = [sum(costs[: stage + 1]) for stage in last]
    assert run.mean_macs() == pytest.approx(np.mean(spent))


def test_stages_of_a_student_of_means_see_means(network, reader):
    means = [FrameBudget("segment_means", num_frames=k) for k in BUDGETS]
    stages = [predict_all(network.at_budget(b), reader)[1] for b in means]
    student = network.at_budget(means[-1])
    cascade = calibrate(student, reader, BUDGETS, 4.0)
    run = CascadeNetwork(student, cascade)
    assert (run.frames_needed, run.num_frames) == (MAX_FRAMES, 8)
    _, found = predict_all(run, reader)
    ended = np.concatenate(run.stages)
    assert set(ended) == {0, 1, 2}
    expected = [stages[end][video] for video, end in enumerate(ended)]
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("mean_frames", [1.0, 1.5, 4.0, 8.0])
def test_calibration_meets_the_wanted_mean(network, reader, mean_frames):
    cascade = calibrate(network, reader, BUDGETS, mean_frames)
    run = CascadeNetwork(network, cascade)
    predict_all(run, reader)
    # A video more or less at the last stage, and videos that are shorter.
    stages = np.concatenate(run.stages)
    frames = np.array(BUDGETS)[stages].mean()
    assert frames == pytest.approx(mean_frames, abs=8 / NUM_VALIDATE_VIDEOS)
    if mean_frames == 4.0:  # The same share goes on from every stage.
        _first, second, third = run.shares()
        share = third / (second + third)
        assert second + third == pytest.approx(share, abs=0.06)


@pytest.mark.parametrize(
    ("budgets", "thresholds", "message"),
    [
        ((), (), "cascade_budgets must be 1 or more"),
        ((2, 1), (0.5,), "must rise from stage to stage, got"),
        ((1, 1), (0.5,), "must rise from stage to stage, got"),
        ((1, 2), (), "one threshold fewer, got 0"),
    ],
)
def test_stages_that_make_no_cascade_are_errors(budgets, thresholds, message):
    with pytest.raises(ValueError, match=message):
        Cascade(budgets, thresholds)


def test_a_student_that_attends_has_no_stages():
    budget = FrameBudget("segment_attention", num_frames=3)
    student = make_student(budget=budget)
    with pytest.raises(ValueError, match="a cascade needs segment_means"):
        CascadeNetwork(student, Cascade((1, 3), (0.5,)))


def test_frames_beyond_the_student_or_the_budgets_are_errors(network, reader):
    with pytest.raises(ValueError, match="at most 8, the most frames"):
        CascadeNetwork(network, Cascade((1, 9), (0.5,)))
    for mean in (0.5, 9.0):
        with pytest.raises(ValueError, match="must be from 1 to 8, the casca"):
            calibrate(network, reader, BUDGETS, mean)


@pytest.mark.parametrize("text", ["{", "[]", '{"budgets": [1]}'])
def test_file_without_a_cascade_is_an_error(tmp_path, text):
    path = tmp_path / "cascade.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"cascade\.json is not a cascade"):
        Cascade.read(path)


@pytest.mark.slow
def test_scripts_calibrate_and_evaluate(checkpoint, videos, reader, tmp_path):
    file, scores = tmp_path / "cascade.json", tmp_path / "scores.json"
    pattern = f"{videos}/validate-*.tfrecord"
    run_script(
        "calibrate_cascade",
        f"--checkpoint={checkpoint}",
        f"--calibration_data_pattern={pattern}",
        "--cascade_budgets=1,3,8",
        "--mean_frames=3",
        f"--cascade_file={file}",
    )
    network = load_network(checkpoint, "student")
    cascade = Cascade.read(file)
    np.testing.assert_allclose(
        cascade.thresholds,
        calibrate(network, reader, BUDGETS, 3.0).thresholds,
        rtol=1e-5,
    )
    flags = [f"--checkpoint={checkpoint}", f"--cascade_file={file}"]
    flags.append(f"--eval_data_pattern={pattern}")
    run_script("evaluate", *flags, f"--metrics_file={scores}")
    assert json.loads(scores.read_text())["frames"] == 8 < MAX_FRAMES
    refused = run_script("evaluate", *flags, "--role=teacher", status=1)
    assert "teacher" in error_line(refused)
