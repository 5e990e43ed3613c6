"""Backends evaluate a checkpoint alike, and train a student alike."""

import dataclasses
import json

import numpy as np
import pytest
from stage_runs import (
    BATCH_SIZE,
    NUM_TRAIN_VIDEOS,
    NUM_VALIDATE_VIDEOS,
    error_line,
    logistic_settings,
    pooled,
    run_script,
    student_settings,
    validation_reader,
)

from distill.evaluation.evaluate import evaluate_checkpoint
from distill.models.frame_budget import FrameBudget
from distill.networks.loading import load_network
from tests.tools.backends.local_runner import LocalRunner
from tools.backends.evaluation import (
    BackendNetwork,
    evaluate_on_backends,
    write_arrays,
    write_model,
)
from tools.backends.process import installed_backends
from tools.backends.report import (
    print_evaluations,
    print_training,
    write_training_report,
)
from tools.backends.scoring import score_arrays
from tools.backends.training import (
    build_trained_network,
    compare_training,
    make_readers,
    training_batches,
)

# Keras 3.15 itself copies variables in NumPy 1's way when it saves.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)
METRICS = ("gap", "hit_at_one", "perr", "mean_average_precision", "loss")
OTHERS = [name for name in installed_backends() if name != "tensorflow"]


@pytest.fixture(autouse=True)
def quick_compilation(monkeypatch):
    """Lets JAX compile in a third of the time, to slower programs."""
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=0")


def assert_same_scores(found, expected):
    for name in METRICS:
        assert found[name] == pytest.approx(expected[name], abs=1e-5), name


def test_a_student_s_file_predicts_the_scores_of_evaluation(
    logistic_checkpoint, videos, tmp_path
):
    reader = validation_reader(videos)
    network = load_network(logistic_checkpoint, "student")
    expected = evaluate_checkpoint(logistic_checkpoint, "student", reader)
    runner = LocalRunner()
    runner.call("load", write_model(tmp_path, network))
    found = evaluate_checkpoint(
        logistic_checkpoint,
        "student",
        reader,
        network=BackendNetwork.of(network, runner),
    )
    assert_same_scores(found, expected)
    assert found["num_videos"] == NUM_VALIDATE_VIDEOS
    for name in ("frames", "parameters", "macs", "step"):
        assert found[name] == expected[name]


@pytest.mark.slow
def test_written_arrays_have_the_scores_of_evaluation(
    logistic_checkpoint, videos, tmp_path
):
    reader = validation_reader(videos)
    network = load_network(logistic_checkpoint, "student")
    expected = evaluate_checkpoint(logistic_checkpoint, "student", reader)
    written = write_arrays(tmp_path / "arrays", network, reader)
    assert written == NUM_VALIDATE_VIDEOS
    found = score_arrays(tmp_path / "arrays")
    for name in (*METRICS[:-1], "num_videos", "top_k"):
        assert found[name] == pytest.approx(expected[name], abs=1e-5), name
    flag = f"--arrays_dir={tmp_path / 'arrays'}"
    printed = run_script("tools.backends", "score", flag).stdout
    assert f"{found['gap']:.4f}" in printed
    with pytest.raises(ValueError, match="holds batches already"):
        write_arrays(tmp_path / "arrays", network, reader)
    batch = tmp_path / "arrays/batch-000000.npz"
    batch.write_bytes(batch.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"batch-000000\.npz is no file of"):
        score_arrays(tmp_path / "arrays")
    with pytest.raises(ValueError, match=r"must hold model\.keras and batch"):
        score_arrays(tmp_path)


@pytest.mark.slow
def test_every_backend_scores_a_student_as_evaluation_does(
    logistic_checkpoint, videos, capsys
):
    if not OTHERS:
        pytest.skip("neither PyTorch nor JAX is installed (extras torch, jax)")
    checkpoint = str(logistic_checkpoint)
    reader = validation_reader(videos)
    expected = evaluate_checkpoint(checkpoint, "student", reader)
    network = load_network(checkpoint, "student")
    scores = evaluate_on_backends(
        checkpoint, "student", network, reader, OTHERS, gpu=-1
    )
    assert [each["backend"] for each in scores] == OTHERS
    for found in scores:
        assert found["device"] == "CPU"
        assert_same_scores(found, expected)
    print_evaluations(scores)
    output = capsys.readouterr().out
    assert checkpoint in output
    assert all(backend in output for backend in OTHERS)


def test_batches_are_whole_and_run_on_into_the_next_epoch(videos):
    settings = student_settings(videos)
    reader, _ = make_readers(settings, f"{videos}/validate-*", "fail")
    steps = NUM_TRAIN_VIDEOS // BATCH_SIZE + 2
    batches = list(training_batches(settings, reader, steps))
    again = list(training_batches(settings, reader, steps))
    assert len(batches) == steps
    for (inputs, labels), (same, _) in zip(batches, again, strict=True):
        assert len(labels) == len(inputs["num_frames"]) == BATCH_SIZE
        np.testing.assert_array_equal(inputs["frames"], same["frames"])
    orders = {inputs["frames"].tobytes() for inputs, _ in batches}
    assert len(orders) == steps


def test_a_batch_larger_than_the_data_is_an_error(videos):
    settings = student_settings(videos, batch_size=10_000)
    reader, _ = make_readers(settings, f"{videos}/validate-*", "fail")
    with pytest.raises(ValueError, match="batch_size must be at most"):
        next(training_batches(settings, reader, steps=1))


def test_a_trained_network_has_no_dropout_and_weights_by_the_seed(videos):
    settings = student_settings(videos, seed=8)
    network, again = (build_trained_network(settings) for _ in range(2))
    assert settings.student.arguments["dropout"] > 0
    assert network.settings.arguments["dropout"] == 0
    assert network.settings.arguments["input_dropout"] == 0
    for weight, same in zip(
        network.model.weights, again.model.weights, strict=True
    ):
        np.testing.assert_array_equal(np.asarray(weight), np.asarray(same))


def test_drawn_frames_in_the_model_are_an_error(videos):
    settings = logistic_settings(videos, FrameBudget.every(1))
    settings.student.arguments["sample_frames"] = 3
    with pytest.raises(ValueError, match="sample_frames must be 0 here, got 3"):
        build_trained_network(settings)


@pytest.mark.slow
def test_backends_train_alike(videos, tmp_path, capsys):
    if not OTHERS:
        pytest.skip("neither PyTorch nor JAX is installed (extras torch, jax)")
    # A network that is compiled fast.
    settings = dataclasses.replace(
        student_settings(videos), student=pooled(FrameBudget.every(4))
    )
    readers = make_readers(settings, f"{videos}/validate-*", "fail")
    backends = ("tensorflow", *OTHERS)
    found = compare_training(settings, 8, *readers, backends, gpu=-1)
    assert tuple(each.backend for each in found) == backends
    reference = found[0]
    assert reference.losses[-1] < reference.losses[0]
    for each in found:
        np.testing.assert_allclose(each.losses, reference.losses, rtol=1e-4)
        assert len(each.seconds) == 8
        assert each.step_seconds > 0
        assert each.first_step_seconds > 0
        for name in METRICS:
            expected = pytest.approx(reference.scores[name], abs=1e-3)
            assert each.scores[name] == expected, name
    print_training(found)
    write_training_report(tmp_path, settings, found)
    written = json.loads((tmp_path / "training.json").read_text())
    losses = [each["losses"] for each in written["backends"]]
    assert losses == [list(each.losses) for each in found]
    text = (tmp_path / "training.md").read_text()
    assert "(training.svg)" in text
    assert all(f"| {backend} |" in text for backend in backends)
    assert (tmp_path / "training.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["evaluate"], "Give a value to --eval_data_pattern"),
        (["train", "--backends=theano"], "Give a value to --train_data"),
        (["evalute"], "Did you mean 'evaluate'"),
    ],
)
def test_wrong_flags_are_one_line(flags, message):
    line = error_line(run_script("tools.backends", *flags, status=1))
    assert message in line
