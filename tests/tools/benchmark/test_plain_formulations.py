"""Every fast path against the plain formulation that it is timed beside."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from distill.data.pipeline import VideoReader
from distill.datasets.synthetic import write_synthetic_data
from distill.metrics.accumulator import VideoMetrics
from distill.models.preprocessing import preprocess
from distill.settings.synthetic import SyntheticSettings
from tools.benchmark import forward, metrics, read, train, videos
from tools.benchmark.plain_metrics import PlainVideoMetrics
from tools.benchmark.plain_networks import run_block_by_block
from tools.benchmark.plain_reading import read_plainly
from tools.benchmark.plan import SMALL

SIZES = SMALL.sizes


def make_inputs(shortest):
    batch = forward.make_batch(SIZES, shortest)
    return preprocess({key: tf.constant(value) for key, value in batch.items()})


@pytest.mark.parametrize("shortest", [0, 1, 13, 24])
def test_folded_blocks_give_the_plain_outputs_and_gradients(shortest):
    keras.utils.set_random_seed(1)
    model = forward.build_model(SIZES, "teacher")
    inputs = make_inputs(shortest)
    results = []
    for run in (model, lambda inputs: run_block_by_block(model, inputs)):
        with tf.GradientTape() as tape:
            outputs = run(inputs)
            total = tf.reduce_sum(outputs["predictions"] ** 2)
            total += tf.reduce_sum(outputs["embedding"] ** 2)
        gradients = tape.gradient(total, model.trainable_variables)
        results.append([*outputs.values(), *gradients])
    for ours, plain in zip(*results, strict=True):
        np.testing.assert_allclose(ours, plain, rtol=0, atol=1e-5)
        assert np.abs(plain).max() > 0


def test_the_joint_step_has_the_plain_one_s_loss_and_gradients():
    keras.utils.set_random_seed(1)
    distiller = train.make_distiller(SIZES, "float32")
    plain = train.PlainStep(distiller)
    batch = train.make_batch(SIZES, 5)
    train.check_steps(plain, batch)
    inputs = {key: batch[key] for key in ("frames", "num_frames")}
    with tf.GradientTape(persistent=True) as tape:
        expected, _ = plain.loss(batch)
        terms, _ = distiller.loss_terms(inputs, batch["labels"])
        total = tf.add_n(list(terms.values()))
    for one, other in zip(
        tape.gradient(total, distiller.variables),
        tape.gradient(expected, distiller.variables),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


def test_another_loss_than_the_plain_one_is_an_error(eager):
    plain = train.PlainStep(train.make_distiller(SIZES, "float32"))
    batch = train.make_batch(SIZES, 5)
    loss = plain.loss
    plain.loss = lambda batch: (loss(batch)[0] + 1, loss(batch)[1])
    with pytest.raises(ValueError, match="plain formulation's loss is"):
        train.check_steps(plain, batch)


def test_other_predictions_than_the_plain_ones_are_an_error():
    with pytest.raises(ValueError, match=r"differ by 0\.2, more than"):
        forward.check_equal(np.zeros(3), np.array([0, 0.2, 0]))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Returns files of videos of 1 to 24 frames."""
    settings = SyntheticSettings(
        split="validate",
        num_videos=40,
        feature_sizes=SIZES.feature_sizes,
        num_classes=SIZES.num_classes,
        max_frames=SIZES.max_frames,
    )
    folder = tmp_path_factory.mktemp("videos")
    return [str(path) for path, _ in write_synthetic_data(settings, folder)]


def test_the_reader_gives_the_plain_one_s_videos_byte_for_byte(files):
    schema = videos.make_schema_of(SIZES)
    plain = read_plainly(files, schema, 7)
    assert read.check_videos(plain, VideoReader(schema, files, 9)) == 40


def test_other_videos_than_the_plain_ones_are_an_error(files):
    schema = videos.make_schema_of(SIZES)
    reader = VideoReader(schema, files, 9)
    with pytest.raises(ValueError, match="does not give"):
        read.check_videos(read_plainly(files[:1], schema, 7), reader)
    with pytest.raises(ValueError, match="gives 40 videos, ours 10"):
        read.check_videos(
            read_plainly(files, schema, 7), VideoReader(schema, files[:1], 9)
        )


@pytest.mark.parametrize("num_classes", [30, 500])
def test_the_metrics_are_the_plain_ones(num_classes):
    plain, ours = PlainVideoMetrics(num_classes), VideoMetrics()
    for predictions, labels in metrics.make_predictions(300, num_classes):
        plain.update(predictions, labels)
        ours.update(predictions, labels)
    expected, found = plain.result(), ours.result()
    assert {name: found[name] for name in expected} == pytest.approx(
        expected,
        abs=1e-6,  # a few scores are equal
    )
    assert all(0 < value < 1 for value in expected.values())
