"""Stored scores come back class by class, whatever memory they may take."""

import tempfile

import numpy as np
import pytest

from distill.metrics.score_store import ScoreStore
from tests.memory_growth import memory_grows_by_at_most

SCORES = np.random.default_rng(0).random((230, 37)).astype(np.float32)


def fill(megabytes, batch_size=16):
    store = ScoreStore(megabytes)
    for start in range(0, len(SCORES), batch_size):
        store.append(SCORES[start : start + batch_size])
    return store


@pytest.mark.parametrize("megabytes", [64, 0.02, 0.003, 0])
@pytest.mark.parametrize("batch_size", [1, 16, 230])
def test_every_class_comes_back_in_the_order_added(megabytes, batch_size):
    store = fill(megabytes, batch_size)
    assert store.num_videos == 230
    np.testing.assert_array_equal(list(store.classes()), SCORES.T)
    np.testing.assert_array_equal(list(store.classes()), SCORES.T)


@pytest.mark.parametrize("megabytes", [64, 0.003])
def test_extending_adds_the_other_s_videos_and_leaves_it(megabytes):
    store, other = fill(64), fill(megabytes)
    store.extend(other)
    expected = np.concatenate([SCORES, SCORES]).T
    np.testing.assert_array_equal(list(store.classes()), expected)
    np.testing.assert_array_equal(list(other.classes()), SCORES.T)


def test_what_the_caller_does_to_its_array_afterwards_has_no_effect():
    store, batch = ScoreStore(), SCORES.copy()
    store.append(batch)
    batch[:] = 0
    np.testing.assert_array_equal(list(store.classes()), SCORES.T)


def test_another_number_of_classes_is_an_error():
    assert list(ScoreStore().classes()) == []
    store = fill(64)
    with pytest.raises(ValueError, match="had 37 classes, these have 36"):
        store.append(SCORES[:, :36])


def test_memory_stays_bounded():
    """The bound holds for storing scores, and again for reading them."""
    batch = np.ones((1000, 4000), np.float32)  # 15 MB
    with memory_grows_by_at_most(120e6):
        store = ScoreStore(megabytes=30)
        for _ in range(20):
            store.append(batch)
        total = sum(int(scores.sum()) for scores in store.classes())
    assert total == 20 * batch.size


def test_no_room_for_the_file_names_its_directory(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    message = r"do not fit into .*missing: .*TMPDIR names another"
    with pytest.raises(OSError, match=message):
        fill(0)
