"""Batches in parts: every example once, and a step that is the whole's."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from distill.settings.training import DistillationSettings
from distill.training.batch_parts import (
    PartPlan,
    count_filled,
    mark_part,
    split_batch,
)
from distill.training.distiller import Distiller
from tests.training.tiny_networks import (
    BOTH_TERMS,
    TRAINING,
    as_read_alone,
    make_batch,
    make_network,
    make_student,
    make_teacher,
    make_video_level,
)


def numbered(size):
    return {"number": tf.range(size)}


@pytest.mark.parametrize("num_parts", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("size", [1, 2, 5, 6, 13])
def test_every_example_is_in_one_part_with_its_mirror_image(size, num_parts):
    parts = [
        part["number"].numpy().tolist()
        for part in split_batch(numbered(size), num_parts)
    ]
    assert sorted(sum(parts, [])) == list(range(size))
    for part in parts:
        # Mixed with what is as far from the other end, as in the whole.
        assert [size - 1 - number for number in part] == part[::-1]
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 3
    filled = count_filled(size, num_parts)
    assert [bool(count) for count in sizes] == [
        index < filled for index in range(num_parts)
    ]


@pytest.mark.parametrize("is_shared", [True, False])
@pytest.mark.parametrize("size", [3, 24, 31])
def test_workers_replicas_and_turns_divide_a_batch(size, is_shared):
    """Of 3 workers with 2 replicas in 2 turns."""
    plans = [PartPlan(2, 2, 3, worker) for worker in range(3)]
    counts = [size] * 3 if is_shared else [size, 0, 5]
    seen, shares, numbers = [], [], []
    lengths = set()
    for worker, plan in enumerate(plans):
        turns = plan.divide(
            numbered(size if is_shared else counts[worker]),
            counts,
            is_shared=is_shared,
        )
        lengths.add(len(turns))
        for turn, parts in enumerate(turns):
            assert len(parts) == 2
            for replica, part in enumerate(parts):
                seen += [(worker, n) for n in part["number"].numpy().tolist()]
                shares.append(float(part["share"]))
                numbers.append(int(part["part"]))
                assert numbers[-1] == (turn * 3 + worker) * 2 + replica
    if is_shared:
        assert sorted(number for _, number in seen) == list(range(size))
    else:
        assert sorted(seen) == [
            (worker, n) for worker in (0, 2) for n in range(counts[worker])
        ]
    assert sum(shares) == pytest.approx(1)
    assert len(set(numbers)) == len(numbers)
    # All workers make as many turns, none of them without an example.
    assert len(lengths) == 1
    if size == 3 and is_shared:
        assert lengths == {1}


TERMS = dataclasses.replace(
    BOTH_TERMS,
    prediction_loss="squared_error",
    prediction_loss_reduction="sum",
)


@pytest.fixture
def eager():
    """Runs steps without graphs, which take seconds to trace."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def train(distiller, batches, num_turns):
    plan = PartPlan(num_turns)
    for batch in batches:
        size = len(batch["labels"])
        turns = plan.divide(distiller.prepare(batch), [size], is_shared=True)
        terms, predictions = distiller.train_parts(turns, 0.05)
    weights = [v.numpy() for v in distiller.variables]
    return {k: float(v) for k, v in terms.items()}, predictions, weights


@pytest.mark.parametrize("num_turns", [2, 7])
@pytest.mark.parametrize(
    ("terms", "training"),
    [
        (BOTH_TERMS, {}),
        (TERMS, {"mixup": 0.4, "clip_gradient_norm": 0.1}),
    ],
)
def test_parts_in_turn_are_the_whole_batch(eager, terms, training, num_turns):
    """Losses and weights; the last batch has fewer videos than turns."""
    training = dataclasses.replace(TRAINING, optimizer="SGD", **training)
    batches = [make_batch(n, seed) for seed, n in enumerate((8, 9, 4))]
    found, expected = (
        train(
            Distiller(make_student(), training, make_teacher(), terms),
            batches,
            turns,
        )
        for turns in (num_turns, 1)
    )
    assert found[0] == pytest.approx(expected[0], rel=2e-5, abs=1e-7)
    for value, other in zip(found[2], expected[2], strict=True):
        np.testing.assert_allclose(value, other, atol=2e-6)


@pytest.mark.parametrize("prediction_loss", ["kl", "correlation"])
def test_an_empty_part_adds_nothing(eager, prediction_loss):
    """As of a worker whose files have come to their end."""
    terms = dataclasses.replace(
        BOTH_TERMS,
        prediction_loss=prediction_loss,
        relational_loss_weight=1.0,
        normalize_terms=prediction_loss == "kl",
    )
    results = []
    for with_empty in (False, True):
        distiller = Distiller(make_student(), TRAINING, make_teacher(), terms)
        part = mark_part(distiller.prepare(make_batch()), 5, 0)
        empty = {
            name: value[:0]
            for name, value in distiller.prepare(make_batch()).items()
        }
        turns = [[part], [mark_part(empty, 5, 1)]][: 1 + with_empty]
        found, _ = distiller.train_parts(turns, 0.05)
        weights = [v.numpy() for v in distiller.variables]
        results.append(({k: float(v) for k, v in found.items()}, weights))
    assert results[0][0] == results[1][0]
    for value, other in zip(results[0][1], results[1][1], strict=True):
        np.testing.assert_array_equal(value, other)


def test_predictions_come_by_part(eager):
    distiller = Distiller(make_student(), TRAINING)
    batch = as_read_alone(make_batch(7))
    parts = split_batch(distiller.prepare(batch), 2)
    expected = [
        distiller.loss_terms(dict(part), part["labels"])[1]["student"].numpy()
        for part in parts
    ]
    _, found, _ = train(distiller, [batch], 2)
    for part, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(part["student"], other, atol=1e-6)


def make_dropout_distiller():
    student = make_network("student", seed=2, dropout=0.5)
    return Distiller(student, TRAINING)


def test_parts_draw_numbers_of_their_own_whenever_they_are_taken(eager):
    """Part 1 draws alike in the second turn and alone, and unlike part 0."""
    batch = make_batch(1)
    # Each part holds the same video, so that only the draws differ.
    distiller = make_dropout_distiller()
    part = distiller.prepare(batch)

    def draw(number):
        return part | {
            "share": tf.constant(0.5),
            "part": tf.constant(number, tf.int64),
        }

    _, (first, second) = distiller.train_parts([[draw(0)], [draw(1)]], 0.0)
    alone = make_dropout_distiller()
    _, (expected,) = alone.train_parts([[draw(1)]], 0.0)
    np.testing.assert_array_equal(second["student"], expected["student"])
    whole = make_dropout_distiller()
    _, expected = whole.train_step(batch, 0.0)
    np.testing.assert_array_equal(first["student"], expected["student"])
    difference = np.abs(first["student"] - second["student"]).max()
    assert difference > 1e-4
    # The next step draws anew, alike after one turn and after two.
    found = [
        trainer.train_parts([[draw(0)]], 0.0)[1][0]["student"].numpy()
        for trainer in (distiller, alone)
    ]
    np.testing.assert_array_equal(*found)
    assert np.abs(found[0] - first["student"].numpy()).max() > 1e-4


def test_a_variable_without_gradient_stays_out_of_the_sums():
    """As of a student that mimics under a classifier that does not train."""
    student = make_video_level("student", "LogisticModel")
    training = dataclasses.replace(TRAINING, optimizer="SGD")
    distiller = Distiller(
        student, training, distillation=DistillationSettings()
    )
    unused = keras.Variable(np.ones(2, np.float32), name="unused")
    step = distiller._step
    step._variables = [*step._variables, unused]
    step._optimizer = keras.optimizers.SGD(0.1)
    step._optimizer.build(step._variables)
    rng = np.random.default_rng(0)
    batch = {
        "features": tf.constant(rng.normal(size=(6, 5)).astype(np.float32)),
        "labels": tf.constant(rng.random((6, 4)) < 0.5),
    }
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        train(distiller, [batch], 2)
    np.testing.assert_array_equal(unused.numpy(), [1, 1])
