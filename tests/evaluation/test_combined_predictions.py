"""Combinations of prediction files against NumPy and plain arithmetic."""

import itertools

import numpy as np
import pytest

from distill.evaluation.prediction_files.combining import (
    COMBINATIONS,
    Combination,
    combine_predictions,
)
from distill.evaluation.prediction_files.files import (
    PREDICTION_HEADER,
    read_predictions,
)

IDS = ("v", "w", "x", "y")


def write_dense(path, scores):
    """Writes scores `[videos, classes]`, NaN where no class is listed."""
    lines = [PREDICTION_HEADER]
    for video_id, row in zip(IDS, scores, strict=True):
        pairs = (f"{i} {s:.6f}" for i, s in enumerate(row) if s == s)
        lines.append(f"{video_id},{' '.join(pairs)}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def scores():
    """Scores `[files, videos, classes]`, some of them not listed."""
    rng = np.random.default_rng(1)
    drawn = rng.random((3, 4, 5)).round(6)
    drawn[rng.random(drawn.shape) < 0.3] = np.nan
    drawn[:, 0, 0], drawn[:, 1, 1] = 0.25, 0.0
    return drawn


@pytest.fixture
def combine(scores, tmp_path):
    """Combines the files; returns `[videos, classes]`, 0 where unlisted."""
    files = [
        write_dense(tmp_path / f"{i}.csv", file)
        for i, file in enumerate(scores)
    ]

    def combine(combination):
        output = tmp_path / "out.csv"
        assert combine_predictions(files, combination, output) == 4
        found = np.zeros(scores.shape[1:])
        for row, video in enumerate(read_predictions([output])):
            assert video.video_id == IDS[row]
            found[row, video.classes] = video.scores
        return found

    return combine


def test_the_greatest_score_of_any_file_is_taken(scores, combine):
    expected = np.nan_to_num(scores).max(axis=0)
    np.testing.assert_allclose(combine(Combination("max")), expected, atol=1e-6)


def test_ranks_are_those_among_all_scores_of_a_file(scores, combine):
    """The share of the file's scores that are not above the score."""
    expected = np.zeros(scores.shape[1:])
    for weight, file in zip([0.5, 0.3, 0.2], scores, strict=True):
        listed = file[~np.isnan(file)]
        for place in itertools.product(range(4), range(5)):
            not_above = sum(each <= file[place] for each in listed)
            expected[place] += weight * not_above / len(listed)
    found = combine(Combination("rank_mean", [0.5, 0.3, 0.2]))
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("power", [-2.0, -0.5, 0.0, 0.5, 1.0, 3.0])
def test_power_means_are_those_of_numpy(scores, combine, power):
    weights = np.array([0.5, 0.3, 0.2])[:, None, None]
    filled = np.nan_to_num(scores)
    if power <= 0:
        filled = np.maximum(filled, 1e-6)
    if power == 0:
        expected = np.prod(filled**weights, axis=0)
    else:
        expected = (weights * filled**power).sum(axis=0) ** (1 / power)
    expected[np.isnan(scores).all(axis=0)] = 0
    found = combine(Combination("power_mean", [0.5, 0.3, 0.2], power))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_no_power_over_or_underflows(scores, combine):
    listed = ~np.isnan(scores).any(axis=0)
    for power, extreme in ((500.0, np.max), (-500.0, np.min)):
        found = combine(Combination("power_mean", None, power))
        expected = np.maximum(extreme(scores, axis=0), 1e-6)
        np.testing.assert_allclose(
            found[listed], expected[listed], rtol=0.01, atol=2e-6
        )


def test_a_file_of_weight_zero_has_no_effect(scores, combine):
    found = combine(Combination("power_mean", [0, 1, 0], 0.0))
    listed = ~np.isnan(scores[1])
    np.testing.assert_allclose(found[listed], scores[1][listed], atol=2e-6)


def test_files_are_weighted_by_the_spread_of_a_video_s_scores(scores, combine):
    spread = np.nan_to_num(np.nanstd(scores, axis=2))
    weights = spread / spread.sum(axis=0)
    expected = (weights[:, :, None] * np.nan_to_num(scores)).sum(axis=0)
    found = combine(Combination("mean", "std"))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_files_without_spread_weigh_the_same(tmp_path):
    files = [tmp_path / name for name in ("a.csv", "b.csv")]
    for file, score in zip(files, (0.5, 0.25), strict=True):
        file.write_text(f"{PREDICTION_HEADER}\nv,3 {score}\nw,\n")
    output = tmp_path / "out.csv"
    combine_predictions(files, Combination("mean", "std"), output)
    assert output.read_text().splitlines()[1:] == ["v,3 0.375000", "w,"]


@pytest.mark.parametrize("method", COMBINATIONS)
def test_one_file_alone_keeps_its_order(method, tmp_path):
    path, output = tmp_path / "a.csv", tmp_path / "out.csv"
    path.write_text(f"{PREDICTION_HEADER}\nv,4 0.9 1 0.6 3 0.1\nw,2 0.7\n")
    power = 2.0 if method == "power_mean" else None
    combine_predictions([path], Combination(method, None, power), output)
    found = {v.video_id: v.classes for v in read_predictions([output])}
    assert found == {"v": [4, 1, 3], "w": [2]}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (("median",), "Unknown combination 'median'"),
        (("max", [1, 2]), "weights are not for the combination max"),
        (("power_mean",), "power_mean, which needs it; got power=None"),
        (("mean", None, 2.0), "power=2.0 for mean"),
        (("power_mean", None, float("nan")), "power must be finite, got nan"),
    ],
)
def test_wrong_combinations_are_errors(fields, message):
    with pytest.raises(ValueError, match=message):
        Combination(*fields)
