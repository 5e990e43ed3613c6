"""Fitted weights of prediction files: known optima, and the file of a fit."""

import json

import numpy as np
import pytest

from distill.evaluation.prediction_files.files import PREDICTION_HEADER
from distill.evaluation.prediction_files.fitted_weights import (
    FittedWeights,
    apply_fitted,
)
from distill.evaluation.prediction_files.fitting import (
    FitSettings,
    fit_predictions,
)
from distill.evaluation.prediction_files.weight_fitting import (
    fit_logistic,
    fit_mixture,
)


def write_file(path, scores, prefix="v"):
    """Writes scores `[videos, classes]`, NaN where no class is listed."""
    lines = [PREDICTION_HEADER]
    for number, row in enumerate(scores):
        pairs = (f"{i} {s:.6f}" for i, s in enumerate(row) if s == s)
        lines.append(f"{prefix}{number},{' '.join(pairs)}")
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def write_labels(path, labels, prefix="v"):
    lines = ["VideoId,Labels"]
    for number, row in enumerate(labels):
        found = " ".join(map(str, np.flatnonzero(row)))
        lines.append(f"{prefix}{number},{found}")
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def draw_labels(videos=600, classes=4, seed=0):
    return np.random.default_rng(seed).random((videos, classes)) < 0.4


def informed(labels, seed, strength=3.0):
    """Returns calibrated-looking scores that know the labels."""
    rng = np.random.default_rng(seed)
    logits = strength * (labels - 0.5) + rng.normal(size=labels.shape)
    return 1 / (1 + np.exp(-logits))


def noise(labels, seed):
    return np.random.default_rng(seed).random(labels.shape)


def mixture_loss(weights, factors):
    return -np.log(factors @ weights).mean()


@pytest.mark.parametrize("seed", range(3))
def test_mixture_is_the_best_of_a_fine_grid(seed):
    rng = np.random.default_rng(seed)
    factors = rng.uniform(0.01, 1, (80, 3))
    found = fit_mixture(factors, np.ones(80))
    assert found.min() >= 0
    assert found.sum() == pytest.approx(1)
    grid = [
        np.array([a, b, 100 - a - b]) / 100
        for a in range(101)
        for b in range(101 - a)
    ]
    best = min(mixture_loss(weights, factors) for weights in grid)
    assert mixture_loss(found, factors) <= best + 1e-12
    assert best - mixture_loss(found, factors) < 1e-3


def test_mixture_has_its_known_optimum():
    """Of two predictors, each alone right: -3 log w - log(1 - w)."""
    rows = np.array([[1.0, 1e-12], [1e-12, 1.0]])
    found = fit_mixture(rows, np.array([3.0, 1.0]))
    np.testing.assert_allclose(found, [0.75, 0.25], atol=1e-6)


def test_alike_and_useless_predictors_do_not_stop_the_fit():
    rows = np.random.default_rng(0).uniform(0.3, 1, (50, 1))
    found = fit_mixture(np.hstack([rows, rows, rows / 9]), np.ones(50))
    assert found[2] == pytest.approx(0, abs=1e-9)
    assert found[:2].sum() == pytest.approx(1)


def test_a_prior_of_zero_does_not_stop_the_fit():
    rows = np.array([[0.9, 0.1], [1.0, 0.0], [0.0, 1.0]])
    found = fit_mixture(rows, np.array([5.0, 2.0, 0.0]))
    np.testing.assert_allclose(found, [1, 0], atol=1e-9)


def test_logistic_regression_equals_plain_gradient_descent():
    rng = np.random.default_rng(0)
    inputs = np.column_stack([rng.normal(size=(60, 2)), np.ones(60)])
    targets = rng.random(60) < 0.3
    centre, shrinkage = np.array([0.5, 0.5, 0.0]), 2.0
    expected = np.zeros(3)
    for _ in range(20_000):
        probabilities = 1 / (1 + np.exp(-inputs @ expected))
        slope = inputs.T @ (probabilities - targets)
        expected -= 0.01 * (slope + shrinkage * (expected - centre))
    found = fit_logistic(inputs, targets, centre, shrinkage)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_separable_rows_have_finite_coefficients():
    inputs = np.array([[-500.0, 1], [500.0, 1]])
    found = fit_logistic(inputs, np.array([0, 1]), np.zeros(2), 1e-3)
    assert np.isfinite(found).all()
    assert found[0] > 0


@pytest.fixture
def files(tmp_path):
    """A file that knows the labels and one of noise, with the labels."""
    labels = draw_labels()
    return (
        [
            write_file(tmp_path / "good.csv", informed(labels, 1)),
            write_file(tmp_path / "noise.csv", noise(labels, 2)),
        ],
        write_labels(tmp_path / "labels.csv", labels),
    )


@pytest.mark.parametrize("method", ["weights", "class_weights"])
def test_a_file_of_noise_gets_no_weight(files, method):
    predictions, labels = files
    fitted, scores = fit_predictions(
        predictions, [labels], FitSettings(method, hold_out=0.3)
    )
    rows = [fitted.weights, *fitted.class_weights.values()]
    assert len(rows) == (1 if method == "weights" else 5)
    for row in rows:
        np.testing.assert_allclose(row, [1, 0], atol=0.02)
    good, bad, mean, combined = (each["gap"] for each in scores.values())
    assert bad < mean < combined
    assert combined == pytest.approx(good, abs=0.02)


def test_files_that_know_one_class_each_get_its_weight(tmp_path):
    labels = draw_labels(classes=2)
    blind, files = noise(labels, 5), []
    for known in range(2):
        scores = blind.copy()
        scores[:, known] = informed(labels, 3 + known)[:, known]
        files.append(write_file(tmp_path / f"{known}.csv", scores))
    truth = write_labels(tmp_path / "labels.csv", labels)
    fitted, scores = fit_predictions(
        files, [truth], FitSettings("class_weights", 1.0, 0.4)
    )
    assert fitted.class_weights["0"][0] > 0.95
    assert fitted.class_weights["1"][1] > 0.95
    alone = [scores[file]["mean_average_precision"] for file in files]
    combined = scores["fitted class_weights"]["mean_average_precision"]
    assert combined > max(alone) + 0.1


def test_rare_classes_stay_near_the_weights_of_all(tmp_path):
    """One video says the contrary of all others."""
    labels = draw_labels(classes=2)
    good, bad = informed(labels, 1), noise(labels, 2)
    good[1:, 1] = bad[1:, 1] = np.nan
    good[0, 1], bad[0, 1], labels[0, 1] = 0.01, 0.99, True
    files = [
        write_file(tmp_path / "good.csv", good),
        write_file(tmp_path / "bad.csv", bad),
    ]
    truth = write_labels(tmp_path / "labels.csv", labels)
    held = {
        shrinkage: fit_predictions(
            files, [truth], FitSettings("class_weights", shrinkage)
        )[0]
        for shrinkage in (0.01, 1e6)
    }
    assert held[0.01].class_weights["1"][1] > 0.5
    assert held[0.01].weights[1] < 0.05
    np.testing.assert_allclose(
        held[1e6].class_weights["1"], held[1e6].weights, atol=1e-3
    )


def test_stacking_equals_a_regression_on_the_logits(files, tmp_path):
    """Of every class towards all classes, by gradient descent."""
    predictions, labels = files
    fitted, _ = fit_predictions(
        predictions, [labels], FitSettings("stacking", 5.0)
    )
    truth = draw_labels()
    scores = np.stack(
        [
            np.round(informed(truth, 1), 6),
            np.round(noise(truth, 2), 6),
        ],
        axis=-1,
    )
    logits = np.log(scores / (1 - scores))

    def descend(inputs, targets, centre):
        inputs = np.column_stack([inputs, np.ones(len(inputs))])
        found = centre.copy()
        for _ in range(5000):
            probabilities = 1 / (1 + np.exp(-inputs @ found))
            slope = inputs.T @ (probabilities - targets)
            found -= 3e-4 * (slope + 5.0 * (found - centre))
        return found

    every = descend(
        logits.reshape(-1, 2), truth.reshape(-1), np.array([0.5, 0.5, 0.0])
    )
    np.testing.assert_allclose(fitted.weights, every, atol=1e-3)
    one = descend(logits[:, 3], truth[:, 3], every)
    np.testing.assert_allclose(fitted.class_weights["3"], one, atol=1e-3)
    # What is written are the probabilities of these regressions.
    output = tmp_path / "out.csv"
    apply_fitted(predictions, fitted, output, 4, allow_fitted_videos=True)
    first = output.read_text().splitlines()[1].split(",")[1].split()
    found = dict(zip(first[::2], map(float, first[1::2]), strict=True))
    logit = np.append(logits[0, 3], 1.0) @ one
    assert found["3"] == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-3)


def test_unseen_classes_use_the_weights_of_all(tmp_path):
    fitted = FittedWeights(
        "class_weights",
        ("a", "b"),
        (0.25, 0.75),
        {"1": [1.0, 0.0]},
        1,
        (),
    )
    files = [
        write_file(tmp_path / "a.csv", [[0.4, 0.5, np.nan]]),
        write_file(tmp_path / "b.csv", [[0.8, 0.1, 0.2]]),
    ]
    output = tmp_path / "out.csv"
    assert apply_fitted(files, fitted, output) == (1, None)
    assert output.read_text().splitlines()[1:] == [
        "v0,0 0.700000 1 0.500000 2 0.150000"
    ]


def test_a_fit_is_not_applied_to_its_own_videos_unnoticed(files, tmp_path):
    predictions, labels = files
    settings = FitSettings(hold_out=0.5)
    fitted, scores = fit_predictions(predictions, [labels], settings)
    number = next(iter(scores.values()))["num_videos"]
    assert fitted.num_videos + number == 600
    assert 250 < number < 350
    output = tmp_path / "out.csv"
    message = f"at least {fitted.num_videos} of the 600 videos"
    with pytest.raises(ValueError, match=message):
        apply_fitted(predictions, fitted, output)
    assert not output.exists()
    count, warning = apply_fitted(
        predictions, fitted, output, allow_fitted_videos=True
    )
    assert count == 600
    assert message in warning
    others = [
        write_file(tmp_path / f"{i}.csv", draw_labels(5), "w") for i in range(2)
    ]
    assert apply_fitted(others, fitted, output) == (5, None)


def test_a_fit_is_written_and_read_whole(files, tmp_path):
    predictions, labels = files
    fitted, _ = fit_predictions(
        predictions, [labels], FitSettings("stacking", hold_out=0.5)
    )
    path = tmp_path / "fit.json"
    fitted.write(path)
    assert FittedWeights.read(path) == fitted


GOOD_FIT = {
    "format": "distill-fitted-weights-1",
    "method": "weights",
    "files": ["a", "b"],
    "weights": [0.5, 0.5],
    "class_weights": {},
    "num_videos": 3,
    "fitted_ids": [],
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "other"}, 'its "format" is not \'distill-fitted'),
        ({"method": "median"}, "Unknown method 'median'"),
        ({"weights": [1.0]}, "'weights' must be 2 numbers, got 1"),
        ({"weights": [0.5, 0.6]}, "'weights' must sum to 1"),
        ({"class_weights": {"3": [0.5, "x"]}}, "'3' must be a list of num"),
        ({"class_weights": {"cat": [0.5, 0.5]}}, "'cat' is no class"),
        ({"method": "stacking"}, "'weights' must be 3 numbers, got 2"),
    ],
)
def test_a_wrong_file_of_a_fit_is_an_error(change, message, tmp_path):
    path = tmp_path / "fit.json"
    path.write_text(json.dumps(GOOD_FIT))
    FittedWeights.read(path)
    path.write_text(json.dumps(GOOD_FIT | change))
    with pytest.raises(ValueError, match=f"^{path} holds no fitted.*{message}"):
        FittedWeights.read(path)


def test_wrong_input_of_a_fit_is_an_error(files, tmp_path):
    predictions, labels = files
    few = write_labels(tmp_path / "few.csv", draw_labels(599))
    with pytest.raises(ValueError, match="'v599' is predicted, but no label"):
        fit_predictions(predictions, [few], FitSettings())
    with pytest.raises(ValueError, match=r"good\.csv is given twice"):
        fit_predictions(predictions[:1] * 2, [labels], FitSettings())
    other = write_file(tmp_path / "o.csv", draw_labels(3), "w")
    with pytest.raises(ValueError, match="has no video 'v0', which"):
        fit_predictions([predictions[0], other], [labels], FitSettings())
    fitted, _ = fit_predictions(predictions, [labels], FitSettings())
    with pytest.raises(ValueError, match=r"fitted to 2 files \(.*got 1 pred"):
        apply_fitted(predictions[:1], fitted, tmp_path / "out.csv")
    with pytest.raises(ValueError, match="no file of fitted weights"):
        FittedWeights.read(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"method": "boosting"}, "Unknown method 'boosting'"),
        ({"shrinkage": 0.0}, "shrinkage must be above 0, got 0.0"),
        ({"hold_out": 1.0}, "hold_out must be 0 or more and below 1, got 1.0"),
    ],
)
def test_wrong_settings_of_a_fit_are_errors(fields, message):
    with pytest.raises(ValueError, match=message):
        FitSettings(**fields)


def test_a_fit_without_anything_to_fit_or_to_score_is_an_error(tmp_path):
    file = tmp_path / "a.csv"
    file.write_text(f"{PREDICTION_HEADER}\nv0,\n")
    truth = write_labels(tmp_path / "l.csv", draw_labels(1))
    with pytest.raises(ValueError, match="to fit have no predicted class"):
        fit_predictions([file], [truth], FitSettings())
    file.write_text(f"{PREDICTION_HEADER}\nv0,1 0.5\n")
    with pytest.raises(ValueError, match="hold_out=1e-09 leaves no video to"):
        fit_predictions([file], [truth], FitSettings(hold_out=1e-9))
