"""Micro-batches: every example once, and a step that is the whole batch's."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from distill.training.distiller import Distiller
from distill.training.micro_batches import (
    MicroBatchPlan,
    join_predictions,
    make_micro_batch,
    split_batch,
)
from distill.training.training_step import Trainer
from tests.training.tiny_networks import (
    BOTH_TERMS,
    TRAINING,
    make_batch,
    make_network,
    make_student,
    make_teacher,
)


def numbered(size):
    return {"number": tf.range(size)}


@pytest.mark.parametrize("num_pieces", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("size", [1, 2, 5, 6, 13])
def test_every_example_is_in_one_piece_with_its_mirror_image(size, num_pieces):
    pieces = [
        piece["number"].numpy().tolist()
        for piece in split_batch(numbered(size), num_pieces)
    ]
    flat = [number for piece in pieces for number in piece]
    assert sorted(flat) == list(range(size))
    for piece in pieces:
        # Mixed with the one as far from the other end, as in the whole.
        assert [size - 1 - number for number in piece] == piece[::-1]
    sizes = [len(piece) for piece in pieces]
    assert max(sizes) - min(sizes) <= 3
    filled = min(num_pieces, (size + 1) // 2)
    assert [bool(count) for count in sizes] == [
        index < filled for index in range(num_pieces)
    ]


@pytest.mark.parametrize("is_shared", [True, False])
@pytest.mark.parametrize("size", [3, 24, 31])
def test_workers_replicas_and_accumulation_steps_divide_a_batch(
    size, is_shared
):
    """For 3 workers with 2 replicas in 2 accumulation steps."""
    plans = [MicroBatchPlan(2, 2, 3, worker) for worker in range(3)]
    counts = [size] * 3 if is_shared else [size, 0, 5]
    seen, weights, numbers = [], [], []
    lengths = set()
    for worker, plan in enumerate(plans):
        steps = plan.divide(
            numbered(size if is_shared else counts[worker]),
            counts,
            is_shared=is_shared,
        )
        lengths.add(len(steps))
        for step, micro_batches in enumerate(steps):
            assert len(micro_batches) == 2
            for replica, each in enumerate(micro_batches):
                seen += [(worker, n) for n in each["number"].numpy().tolist()]
                weights.append(float(each["micro_batch_weight"]))
                numbers.append(int(each["micro_batch_number"]))
                assert numbers[-1] == (step * 3 + worker) * 2 + replica
    if is_shared:
        assert sorted(number for _, number in seen) == list(range(size))
    else:
        assert sorted(seen) == [
            (worker, n) for worker in (0, 2) for n in range(counts[worker])
        ]
    assert sum(weights) == pytest.approx(1)
    assert len(set(numbers)) == len(numbers)
    # All workers make as many accumulation steps, each with an example.
    assert len(lengths) == 1
    if size == 3 and is_shared:
        assert lengths == {1}


def test_predictions_of_micro_batches_are_joined_for_the_metrics():
    """Classes that nobody rated rank last."""
    rng = np.random.default_rng(0)
    scores, labels = rng.random((3, 2)), rng.random((3, 2)) < 0.5
    rated = np.array([[1, 0], [0, 1], [1, 1]], bool)
    pieces = (slice(2), slice(2, 3))
    batch = {"labels": tf.constant(labels), "label_weights": tf.constant(rated)}
    micro_batches = [
        {name: values[piece] for name, values in batch.items()}
        for piece in pieces
    ]
    predictions = [{"student": tf.constant(scores[p])} for p in pieces]
    found, found_labels = join_predictions(micro_batches, predictions)
    np.testing.assert_array_equal(found["student"], scores * rated)
    np.testing.assert_array_equal(found_labels, labels)
    for each in micro_batches:
        del each["label_weights"]
    found, _ = join_predictions(micro_batches, predictions)
    np.testing.assert_array_equal(found["student"], scores)
    assert join_predictions([{}], [{}])[0] == {}


def train(distiller, batches, accumulate_steps):
    plan = MicroBatchPlan(accumulate_steps)
    for batch in batches:
        size = len(batch["labels"])
        steps = plan.divide(distiller.prepare(batch), [size], is_shared=True)
        terms, _ = distiller.step(steps, 0.05)
    weights = [v.numpy() for v in distiller.variables]
    return {k: float(v) for k, v in terms.items()}, weights


@pytest.mark.parametrize("accumulate_steps", [2, 7])
def test_steps_of_micro_batches_are_those_of_whole_batches(
    eager, accumulate_steps
):
    """Terms and weights; the last batch has fewer videos than steps."""
    training = dataclasses.replace(
        TRAINING, optimizer="SGD", mixup=0.4, clip_gradient_norm=0.1
    )
    terms = dataclasses.replace(
        BOTH_TERMS,
        prediction_loss="squared_error",
        prediction_loss_reduction="sum",
    )
    batches = [make_batch(n, seed) for seed, n in enumerate((8, 9, 4))]
    found, expected = (
        train(
            Distiller(make_student(), training, make_teacher(), terms),
            batches,
            count,
        )
        for count in (accumulate_steps, 1)
    )
    assert found[0] == pytest.approx(expected[0], rel=2e-5, abs=1e-7)
    for value, other in zip(found[1], expected[1], strict=True):
        np.testing.assert_allclose(value, other, atol=2e-6)


@pytest.mark.parametrize("prediction_loss", ["kl", "correlation"])
def test_an_empty_micro_batch_adds_nothing(eager, prediction_loss):
    """A worker whose files have ended has one."""
    terms = dataclasses.replace(
        BOTH_TERMS,
        prediction_loss=prediction_loss,
        relational_loss_weight=1.0,
        normalize_terms=prediction_loss == "kl",
    )
    results = []
    for with_empty in (False, True):
        distiller = Distiller(make_student(), TRAINING, make_teacher(), terms)
        prepared = distiller.prepare(make_batch())
        empty = {name: value[:0] for name, value in prepared.items()}
        steps = [[make_micro_batch(prepared, 5, 0)]]
        if with_empty:
            steps.append([make_micro_batch(empty, 5, 1)])
        found, _ = distiller.step(steps, 0.05)
        weights = [v.numpy() for v in distiller.variables]
        results.append(({k: float(v) for k, v in found.items()}, weights))
    assert results[0][0] == results[1][0]
    for value, other in zip(results[0][1], results[1][1], strict=True):
        np.testing.assert_array_equal(value, other)


def make_dropout_distiller():
    student = make_network("student", seed=2, dropout=0.5)
    return Distiller(student, TRAINING)


def test_micro_batches_draw_their_own_numbers_in_any_order(eager):
    """Micro-batch 1 draws alike as second step and alone, and unlike 0."""
    batch = make_batch(1)
    # Each micro-batch holds the same video, so that only the draws differ.
    distiller = make_dropout_distiller()
    prepared = distiller.prepare(batch)

    def draw(number):
        return make_micro_batch(prepared, 2, number)

    _, (first, second) = distiller.step([[draw(0)], [draw(1)]], 0.0)
    alone = make_dropout_distiller()
    _, (expected,) = alone.step([[draw(1)]], 0.0)
    np.testing.assert_array_equal(second["student"], expected["student"])
    whole = make_dropout_distiller()
    _, expected = whole.train_step(batch, 0.0)
    np.testing.assert_array_equal(first["student"], expected["student"])
    difference = np.abs(first["student"] - second["student"]).max()
    assert difference > 1e-4
    # The next step draws anew, alike after one micro-batch and after two.
    found = [
        trainer.step([[draw(0)]], 0.0)[1][0]["student"].numpy()
        for trainer in (distiller, alone)
    ]
    np.testing.assert_array_equal(*found)
    assert np.abs(found[0] - first["student"].numpy()).max() > 1e-4


class ScalarTrainer(Trainer):
    """Minimises a weight times the mean of the inputs."""

    def __init__(self):
        names = ("used", "unused")
        self.used, _ = weights = [
            keras.Variable(np.ones((), np.float32), name=name) for name in names
        ]
        training = dataclasses.replace(
            TRAINING, optimizer="SGD", clip_gradient_norm=0.0
        )
        super().__init__([], weights, training)

    @property
    def groups(self):
        """No checkpoint is written."""
        return {}

    def prepare(self, batch):
        """Returns the batch."""
        return batch

    def micro_batch_terms(self, micro_batch):
        """Returns one term."""
        loss = self.used * tf.reduce_mean(micro_batch["values"])
        return {"term": micro_batch["micro_batch_weight"] * loss}, {}


@pytest.mark.parametrize("accumulate_steps", [1, 2])
def test_a_variable_without_gradient_stays_out_of_the_sums(accumulate_steps):
    trainer = ScalarTrainer()
    batch = {"values": tf.constant([1.0, 2.0, 3.0, 6.0])}
    plan = MicroBatchPlan(accumulate_steps)
    steps = plan.divide(batch, [4], is_shared=True)
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        terms, _ = trainer.step(steps, 0.5)
    assert float(terms["loss"]) == 3
    assert [float(v) for v in trainer.variables] == [1 - 0.5 * 3, 1]
