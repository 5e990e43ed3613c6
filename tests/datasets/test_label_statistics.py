"""Classes that come together, and what a least length leaves, by NumPy."""

import csv
import io
import json

import numpy as np
import pytest

from distill.data.bad_records import Expected
from distill.datasets.check import label_pairs
from distill.datasets.check.check import (
    DataFindings,
    Split,
    SplitFindings,
)
from distill.datasets.check.file_check import FileChecker
from distill.datasets.check.label_pairs import LabelPairs, list_pairs
from distill.datasets.check.report import write_report
from tests.data.record_files import FRAME_SCHEMA, draw_videos, write_records
from tests.memory_growth import memory_grows_by_at_most


def draw_labels(videos, classes=7, seed=0):
    return np.random.default_rng(seed).random((videos, classes)) < 0.4


def matrix_of(labels):
    """Returns the videos of each two classes, 0 on the diagonal."""
    together = labels.T.astype(int) @ labels
    np.fill_diagonal(together, 0)
    return together


@pytest.mark.parametrize("most_waiting", [0, 5, 2**20])
def test_pairs_of_several_files_are_those_of_a_matrix_product(
    most_waiting, monkeypatch
):
    monkeypatch.setattr(label_pairs, "_MOST_WAITING", most_waiting)
    labels = draw_labels(60)
    found = LabelPairs(7)
    for part in np.array_split(labels, 4):
        one = LabelPairs(7)
        one.add_videos(part)
        found.add(one)
    expected = matrix_of(labels)
    np.testing.assert_array_equal(found.matrix(np.arange(7)), expected)
    order = np.array([5, 0, 3])
    np.testing.assert_array_equal(
        found.matrix(order), expected[np.ix_(order, order)]
    )
    listed = list(found.most_frequent(100))
    assert len(found) == len(listed) == (expected > 0).sum() // 2
    assert all(expected[a, b] == count and a < b for a, b, count in listed)
    counts = [count for _, _, count in listed]
    assert counts == sorted(counts, reverse=True)
    assert list(found.most_frequent(3)) == listed[:3]


def test_videos_of_one_class_have_no_pair():
    found = LabelPairs(7)
    found.add_videos(np.eye(7))
    assert len(found) == 0
    assert not list(found.most_frequent(5))
    assert not found.matrix(np.arange(7)).any()


def test_memory_is_that_of_the_pairs_that_occur():
    """A dense matrix of 4,716 classes has 178 MB; here are 1,225 pairs."""
    labels = np.zeros((1000, 4716), bool)
    labels[:, ::95] = True
    with memory_grows_by_at_most(60e6):
        found = LabelPairs(4716)
        for row in labels:
            found.add_videos(row[None])
    assert len(found) == 50 * 49 // 2


def test_the_list_of_pairs_has_their_shares():
    labels = draw_labels(30)
    pairs = LabelPairs(7)
    pairs.add_videos(labels)
    text = list_pairs({"train": (pairs, labels.sum(axis=0))}).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    expected = matrix_of(labels)
    assert len(rows) == (expected > 0).sum() // 2
    for row in rows:
        a, b, count = (int(row[name]) for name in ("a", "b", "videos"))
        assert row["split"] == "train"
        assert count == expected[a, b]
        share = count / labels[:, a].sum(), count / labels[:, b].sum()
        found = float(row["P(b|a)"]), float(row["P(a|b)"])
        assert found == pytest.approx(share, abs=1e-6)


@pytest.fixture
def videos():
    return draw_videos(FRAME_SCHEMA, 50, seed=4)


def check(videos, tmp_path, min_frames):
    """Returns the findings on two files of the videos."""
    expected = Expected(FRAME_SCHEMA, min_frames=min_frames)
    files = [
        write_records(tmp_path / str(i), [v.serialize() for v in videos[i::2]])
        for i in range(2)
    ]
    found = SplitFindings(Split(files, expected))
    for number, file in enumerate(files):
        found.add(number, FileChecker(expected).check(file))
    return found


@pytest.mark.parametrize("min_frames", [1, 4])
def test_labels_are_those_of_the_videos_that_are_long_enough(
    min_frames, videos, tmp_path
):
    found = check(videos, tmp_path, min_frames)
    kept = [v for v in videos if len(v.features["rgb"]) >= min_frames]
    labels = np.zeros((len(kept), FRAME_SCHEMA.num_classes), bool)
    for row, video in enumerate(kept):
        labels[row, video.labels] = True
    assert (min_frames == 1) == (len(kept) == 50)
    np.testing.assert_array_equal(found.label_counts, labels.sum(axis=0))
    np.testing.assert_array_equal(
        found.label_pairs.matrix(np.arange(5)), matrix_of(labels)
    )
    assert found.num_short == 50 - len(kept)
    assert found.total("good") == sum(found.frame_counts.values()) == 50
    assert not found.is_bad


def test_the_report_says_what_each_least_length_leaves(videos, tmp_path):
    found = check(videos, tmp_path, 4)
    write_report(DataFindings({"train": found}, {}), tmp_path)
    text = (tmp_path / "report.md").read_text()
    total = sum(len(set(v.labels)) for v in videos)
    for least in (1, 2, 4, 5):
        kept = [v for v in videos if len(v.features["rgb"]) >= least]
        labels = sum(len(set(v.labels)) for v in kept)
        assert (
            f"| train | {least} frames | {len(kept)} | {len(kept) / 50:.2%} | "
            f"{labels} | {labels / total:.2%} |\n"
        ) in text
    held = json.loads((tmp_path / "report.json").read_text())
    train = held["splits"]["train"]
    assert (train["min_frames"], train["short"]) == (4, found.num_short)
    assert train["label_pairs"] == len(found.label_pairs)
    assert sum(train["labels_by_length"].values()) == total
    first, second, count = next(found.label_pairs.most_frequent(1))
    assert f"\n| {first} | {second} | {count} | " in text
