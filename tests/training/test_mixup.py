"""Videos mixed with others of their batch, against NumPy."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from distill.training.distiller import Distiller
from distill.training.mixup import draw_shares, mix_videos
from tests.numpy_losses import numpy_kl, numpy_squared_distance
from tests.training.tiny_networks import (
    BOTH_TERMS,
    NUM_CLASSES,
    TRAINING,
    as_read_alone,
    make_batch,
    make_student,
    make_teacher,
    numpy_inputs,
    numpy_label_loss,
)

ALPHA = 0.4


def draw_videos(batch_size=7):
    """Returns padded videos, of which each is of a class of its own."""
    random = np.random.default_rng(0)
    num_frames = random.integers(1, 6, batch_size, dtype=np.int32)
    frames = random.normal(size=(batch_size, 5, 3)).astype(np.float32)
    frames[np.arange(5) >= num_frames[:, None]] = 0
    inputs = {"frames": tf.constant(frames), "num_frames": num_frames}
    return inputs, np.eye(batch_size, dtype=np.float32)


def mix_drawn(inputs, labels, alpha, seed):
    """Mixes by shares that the seed gives."""
    shares = draw_shares(len(labels), alpha, seed)
    return mix_videos(inputs, labels, shares)


def numpy_mix(values, shares):
    """Mixes each with its counterpart from the other end."""
    return np.stack(
        [
            share * values[index] + (1 - share) * values[-1 - index]
            for index, share in enumerate(shares)
        ]
    )


@pytest.mark.parametrize("batch_size", [1, 2, 7])
@pytest.mark.parametrize("traced", [False, True])
def test_frames_and_labels_are_mixed_by_the_same_share(batch_size, traced):
    inputs, labels = draw_videos(batch_size)
    mix = tf.function(mix_drawn) if traced else mix_drawn
    mixed, found = mix(inputs, labels, ALPHA, [3, 1])
    shares = np.diag(found)
    if batch_size % 2:
        # The video in the middle meets itself.
        assert shares[batch_size // 2] == pytest.approx(1)
    assert (shares >= 0.5).all()
    assert (shares <= 1).all()
    assert set(mixed) == {"frames", "num_frames"}
    np.testing.assert_allclose(found, numpy_mix(labels, shares), atol=1e-6)
    np.testing.assert_allclose(found.numpy().sum(axis=1), 1, rtol=1e-6)
    # Each has a share of its own, the middle's among them.
    assert len(np.unique(shares)) == batch_size
    np.testing.assert_allclose(
        mixed["frames"], numpy_mix(inputs["frames"].numpy(), shares), atol=1e-6
    )


def test_a_mixed_video_is_as_long_as_the_longer_of_the_two():
    inputs, labels = draw_videos()
    num_frames = inputs["num_frames"]
    mixed, _ = mix_drawn(inputs, labels, ALPHA, [0, 0])
    expected = np.maximum(num_frames, num_frames[::-1])
    np.testing.assert_array_equal(mixed["num_frames"], expected)
    # It has its own frames, its partner's, and padding behind both.
    real = np.abs(mixed["frames"]).sum(axis=2) > 0
    np.testing.assert_array_equal(real.sum(axis=1), expected)


def test_vectors_of_videos_are_mixed_and_the_rest_stays():
    features = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    labels = np.eye(4, dtype=np.float32)
    inputs = {"features": tf.constant(features), "other": "kept"}
    mixed, found = mix_drawn(inputs, labels, ALPHA, [0, 0])
    np.testing.assert_allclose(
        mixed["features"], numpy_mix(features, np.diag(found)), atol=1e-6
    )
    assert mixed["other"] == "kept"
    np.testing.assert_array_equal(inputs["features"], features)


def test_the_seed_alone_decides():
    inputs, labels = draw_videos()
    found = [
        mix_drawn(inputs, labels, ALPHA, seed)[1].numpy()
        for seed in ([1, 2], [1, 2], [2, 1], [1, 3])
    ]
    np.testing.assert_array_equal(found[0], found[1])
    for other in found[2:]:
        assert np.abs(other - found[0]).max() > 1e-3


@pytest.mark.parametrize("alpha", [0.2, 1.0, 8.0])
def test_shares_are_those_of_a_beta_distribution(alpha):
    """Its variance is 1 / (4 (2 alpha + 1)), whatever half they are of."""
    labels = tf.reshape(tf.tile([1.0, 0.0], [10000]), [20000, 1])
    inputs = {"features": tf.zeros([20000, 1])}
    _, mixed = mix_drawn(inputs, labels, alpha, [4, 2])
    deviations = mixed.numpy() - 0.5
    expected = 1 / (4 * (2 * alpha + 1))
    assert np.mean(deviations**2) == pytest.approx(expected, rel=0.05)
    if alpha == 1:
        # Uniform: the quarters of [0.5, 1] hold as many.
        counts, _ = np.histogram(np.abs(deviations), 4, range=(0, 0.5))
        assert np.abs(counts - 5000).max() < 350


def test_hardly_any_spread_leaves_each_video_as_it_is():
    inputs, labels = draw_videos()
    mixed, found = mix_drawn(inputs, labels, 1e-6, [0, 0])
    np.testing.assert_allclose(found, labels, atol=1e-6)
    np.testing.assert_allclose(mixed["frames"], inputs["frames"], atol=1e-6)


@pytest.fixture
def eager():
    """Runs steps without graphs, which take seconds to trace."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


MIXED = dataclasses.replace(TRAINING, mixup=ALPHA, seed=6)


def shares_of_step(step, batch_size=5):
    """Returns the shares that the run's seed and the step's number give."""
    labels = np.eye(batch_size, dtype=np.float32)
    seed = [MIXED.seed, step]
    _, mixed = mix_drawn({}, labels, ALPHA, seed)
    return np.diag(mixed)


def numpy_mixed(batch, shares):
    """Returns mixed frames of norm 1, their number, and mixed labels."""
    inputs = numpy_inputs(batch, 1)
    num_frames = inputs["num_frames"]
    return (
        numpy_mix(inputs["frames"], shares).astype(np.float32),
        np.maximum(num_frames, num_frames[::-1]),
        numpy_mix(batch["labels"].numpy().astype(float), shares),
    )


def run_model(network, frames, num_frames):
    outputs = network.model({"frames": frames, "num_frames": num_frames})
    return {k: np.asarray(value, np.float64) for k, value in outputs.items()}


def test_teacher_and_student_see_the_same_mixed_videos(eager):
    """Those of the seed and the step, normalised before they are mixed."""
    teacher, student = make_teacher(), make_student()
    distiller = Distiller(student, MIXED, teacher, BOTH_TERMS)
    for step in range(2):
        batch = make_batch(seed=step)
        frames, num_frames, labels = numpy_mixed(batch, shares_of_step(step))
        taught = run_model(teacher, frames, num_frames)
        halves = np.maximum(num_frames // 2, 1)
        said = run_model(student, frames[:, ::2], halves)
        predictions = taught["predictions"], said["predictions"]
        embeddings = taught["embedding"], said["embedding"]
        expected = {
            "teacher_label_loss": numpy_label_loss(labels, predictions[0]),
            "student_label_loss": numpy_label_loss(labels, predictions[1]),
            "prediction_loss": 5 * numpy_kl(*predictions).mean(),
            "representation_loss": 3
            * numpy_squared_distance(*embeddings).mean(),
        }
        found, _ = distiller.train_step(batch, 0.0)
        found = {name: float(found[name]) for name in expected}
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_a_student_alone_learns_from_mixed_videos_as_read():
    student = make_student()
    batch = as_read_alone(make_batch())
    frames, num_frames, labels = numpy_mixed(batch, shares_of_step(0))
    said = run_model(student, frames, num_frames)
    distiller = Distiller(student, MIXED)
    prepared = distiller.prepare(batch)
    terms, predictions = distiller.loss_terms(prepared, prepared.pop("labels"))
    expected = numpy_label_loss(labels, said["predictions"])
    assert float(terms["student_label_loss"]) == pytest.approx(expected, 1e-4)
    assert predictions["student"].shape == (5, NUM_CLASSES)
