"""Every fast path against the plain formulation that it is timed beside."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from distill.data.pipeline import VideoReader
from distill.datasets.synthetic import write_synthetic_data
from distill.metrics.accumulator import VideoMetrics
from distill.models.preprocessing import preprocess
from distill.networks.network import video_inputs
from distill.settings.synthetic import SyntheticSettings
from tools.benchmark import forward, metrics, networks, read, steps, videos
from tools.benchmark.plain_metrics import PlainVideoMetrics
from tools.benchmark.plain_networks import run_block_by_block
from tools.benchmark.plain_reading import read_plainly
from tools.benchmark.plain_step import PlainStep, check_steps
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


def make_plain_step(case):
    keras.utils.set_random_seed(1)
    return PlainStep(networks.make_distiller(case, SIZES))


def hierarchical(teacher):
    return networks.hierarchical_lstms(SIZES, "x", teacher)


CASES = {
    "joint": hierarchical("joint"),
    "frozen": hierarchical("frozen"),
    "alone": hierarchical(""),
    "pooling": networks.Case(
        "x", "NetVLADModelLF", {"moe_prob_gating": True}, "joint"
    ),
    "video level": networks.Case("x", "MoeModel"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", CASES)
def test_a_step_has_the_plain_one_s_loss_and_gradients(kind):
    plain = make_plain_step(CASES[kind])
    distiller = plain.distiller
    batch = networks.make_batch(CASES[kind], SIZES, 5)
    check_steps(plain, batch)
    with tf.GradientTape(persistent=True) as tape:
        expected, _ = plain.loss(batch)
        terms, _ = distiller.loss_terms(video_inputs(batch), batch["labels"])
        total = tf.add_n(list(terms.values()))
    for one, other in zip(
        tape.gradient(total, distiller.variables),
        tape.gradient(expected, distiller.variables),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_a_plain_step_changes_the_weights_as_ours_does():
    batch = networks.make_batch(CASES["alone"], SIZES, 5)
    changed = []
    for kind in ("ours", "plain"):
        plain = make_plain_step(CASES["alone"])
        before = [v.numpy() for v in plain.distiller.variables]
        for _ in range(2):
            if kind == "ours":
                plain.distiller.train_step(batch, 1e-3)
            else:
                plain.train_step(batch)
        after = [v.numpy() for v in plain.distiller.variables]
        changed.append([a - b for a, b in zip(after, before, strict=True)])
    for ours, other in zip(*changed, strict=True):
        np.testing.assert_allclose(ours, other, rtol=0, atol=1e-5)
        assert np.abs(other).max() > 1e-4


def test_a_frozen_teacher_counts_once_in_the_floor():
    rates = steps.Rates({"float32": 10.0}, 1e30)
    floors = {}
    for kind in ("joint", "frozen", "alone"):
        distiller = networks.make_distiller(CASES[kind], SIZES)
        videos = networks.make_batch(hierarchical("any"), SIZES, 24)
        floors[kind] = rates.floor(distiller, videos, videos)
    teacher = networks.make_network(hierarchical(""), SIZES, "teacher")
    # Four videos of 24 frames.
    macs = 4 * teacher.model.macs(24)
    assert floors["joint"] - floors["alone"] == pytest.approx(3 * macs / 10)
    assert floors["frozen"] - floors["alone"] == pytest.approx(macs / 10)


def test_the_floor_counts_the_bytes_of_weights_and_inputs():
    case = networks.Case("x", "LogisticModel")
    distiller = networks.make_distiller(case, SIZES)
    batch = networks.make_batch(case, SIZES, 24)
    rates = steps.Rates({"float32": 1e30}, 2.0)
    # 16 features, 30 classes; four videos of floats and of booleans.
    expected = 28 * (16 * 30 + 30) + 4 * (16 * 4 + 30)
    assert rates.floor(distiller, batch, batch) == expected / 2


def test_another_loss_than_the_plain_one_is_an_error(eager):
    plain = make_plain_step(CASES["joint"])
    batch = networks.make_batch(CASES["joint"], SIZES, 5)
    loss = plain.loss
    plain.loss = lambda batch: (loss(batch)[0] + 1, loss(batch)[1])
    with pytest.raises(ValueError, match="plain formulation's loss is"):
        check_steps(plain, batch)


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
