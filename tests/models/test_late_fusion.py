"""What the pooling models share: features, padding, sampling, gates."""

import numpy as np
import pytest
import tensorflow as tf

from distill.models.late_fusion import share_clusters
from distill.models.logistic import Logistic
from distill.models.mixture_of_experts import MixtureOfExperts
from distill.models.netvlad import NetVladModel
from distill.models.soft_dbof import SoftDbofModel
from tests.layer_checks import check_frame_model, randomise_weights
from tests.numpy_lstm import sigmoid
from tests.numpy_pooling import (
    batch_norm,
    make_inputs,
    normalized_dense,
    without_padding,
)

CLASSES, MAX_FRAMES = 4, 6
LENGTHS = [1, 3, 6, 2]


def make_model(sizes=(3, 2), classifier=None, **arguments):
    return NetVladModel(
        classifier or Logistic(CLASSES, name="classifier"),
        sizes,
        netvlad_cluster_size=4,
        netvlad_hidden_size=5,
        **arguments,
    )


def make_built(sizes=(3, 2), **arguments):
    model = make_model(sizes, **arguments)
    frames = (None, MAX_FRAMES, sum(sizes))
    model.build({"frames": frames, "num_frames": (None,)})
    randomise_weights(model)
    return model


@pytest.mark.parametrize("sizes", [(4,), (3, 2, 4)], ids=["one", "three"])
def test_any_number_of_features_passes_the_model_checks(sizes):
    check_frame_model(
        lambda: make_model(sizes),
        num_features=sum(sizes),
        max_frames=MAX_FRAMES,
        num_classes=CLASSES,
    )


@pytest.mark.parametrize("sizes", [(4,), (3, 2, 4)], ids=["one", "three"])
def test_every_feature_is_pooled_and_the_hidden_layer_gates_itself(sizes):
    model = make_built(sizes)
    inputs = make_inputs(LENGTHS, MAX_FRAMES, sum(sizes))
    outputs = model(inputs)
    assert [pool.num_clusters for pool in model.pools] == [4, 2, 2][
        : len(sizes)
    ]
    frames = batch_norm(inputs["frames"], model.input_norm).astype(np.float32)
    mask = np.arange(MAX_FRAMES) < inputs["num_frames"][:, None]
    pooled, start = [], 0
    for pool, size in zip(model.pools, sizes, strict=True):
        feature = frames[:, :, start : start + size]
        pooled.append(np.asarray(pool(feature, mask), np.float64))
        start += size
    hidden = normalized_dense(np.concatenate(pooled, 1), model.hidden)
    gates = hidden @ np.asarray(model.context_gating.kernel)
    gates = sigmoid(batch_norm(gates, model.context_gating.norm))
    np.testing.assert_allclose(outputs["embedding"], hidden * gates, atol=1e-5)
    np.testing.assert_allclose(
        outputs["predictions"],
        model.classifier(outputs["embedding"]),
        atol=1e-6,
    )


def test_padding_has_no_effect_on_a_training_step():
    inputs = make_inputs(LENGTHS, MAX_FRAMES, 5)
    dirty, clean = make_built(), make_built()
    outputs = dirty(inputs, training=True)
    expected = clean(without_padding(inputs), training=True)
    for key in expected:
        np.testing.assert_allclose(outputs[key], expected[key], atol=1e-5)
    for ours, theirs in zip(dirty.weights, clean.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6, err_msg=ours.path)


def test_padding_counts_like_frames_if_it_is_not_masked():
    inputs = make_inputs(LENGTHS, MAX_FRAMES, 5)
    whole = inputs | {"num_frames": np.full(4, MAX_FRAMES, np.int32)}
    masked, unmasked = make_built(), make_built(mask_padding=False)
    np.testing.assert_allclose(
        unmasked(inputs)["embedding"], masked(whole)["embedding"], atol=1e-5
    )


def test_statistics_of_the_frames_are_those_of_the_real_ones():
    model = make_built()
    model.input_norm.moving_mean.assign(np.zeros(5))
    inputs = make_inputs(LENGTHS, MAX_FRAMES, 5)
    model(inputs, training=True)
    mask = np.arange(MAX_FRAMES) < inputs["num_frames"][:, None]
    mean = inputs["frames"][mask].astype(np.float64).mean(0)
    share = 1 - model.input_norm.momentum
    np.testing.assert_allclose(
        model.input_norm.moving_mean, share * mean, atol=1e-6
    )


def test_frames_are_drawn_in_training_alone():
    inputs = make_inputs(LENGTHS, MAX_FRAMES, 5)
    model, plain = make_built(sample_frames=2), make_built()
    np.testing.assert_array_equal(
        model(inputs)["embedding"], plain(inputs)["embedding"]
    )
    embeddings = [
        np.asarray(model(inputs, training=True)["embedding"]) for _ in range(2)
    ]
    assert np.abs(embeddings[0] - embeddings[1]).max() > 1e-3


def test_frames_drawn_at_evaluation_set_the_cost():
    drawn = make_built(sample_frames=2, sample_at_evaluation=True)
    assert drawn.macs(6) == make_built().macs(2)
    assert make_built(sample_frames=2).macs(6) == (make_built().macs(6))


def test_a_training_step_reaches_the_probability_gating():
    classifier = MixtureOfExperts(CLASSES, moe_prob_gating=True)
    model = make_built(classifier=classifier)
    statistics = classifier.prob_gating.norm.moving_mean
    before = np.asarray(statistics)
    inputs = make_inputs(LENGTHS, MAX_FRAMES, 5)
    model(inputs)
    np.testing.assert_array_equal(statistics, before)
    model(inputs, training=True)
    assert np.all(np.asarray(statistics) != before)


def test_a_feature_with_a_single_cluster_trains():
    model = SoftDbofModel(
        Logistic(CLASSES), (3, 2), dbof_cluster_size=4, dbof_hidden_size=5
    )
    assert [pool.num_clusters for pool in model.pools] == [4, 1]
    inputs = make_inputs(LENGTHS, MAX_FRAMES, 5)
    step = tf.function(lambda: model(inputs, training=True)["predictions"])
    assert np.isfinite(step()).all()


@pytest.mark.parametrize(
    ("clusters", "features", "divisor", "expected"),
    [
        (256, 2, 2, [256, 128]),
        (8000, 2, 8, [8000, 1000]),
        (5, 3, 2, [5, 2, 2]),
        (4, 2, 8, [4, 1]),
        (4, 1, 8, [4]),
    ],
)
def test_later_features_share_fewer_clusters(
    clusters, features, divisor, expected
):
    assert share_clusters(clusters, features, divisor) == expected


def test_the_hidden_layer_starts_at_the_scale_of_the_clusters():
    model = NetVladModel(
        Logistic(CLASSES),
        (40,),
        netvlad_cluster_size=16,
        netvlad_hidden_size=50,
    )
    model.build({"frames": (None, 6, 40), "num_frames": (None,)})
    assert np.std(model.hidden.kernel) == pytest.approx(0.25, rel=0.05)


@pytest.mark.parametrize("sizes", [(), (3, 0)])
def test_feature_sizes_that_are_none_or_zero_are_an_error(sizes):
    with pytest.raises(ValueError, match="^feature_sizes must be one or more"):
        make_model(sizes)


def test_features_that_do_not_fill_a_frame_are_an_error():
    model = make_model((3, 2))
    with pytest.raises(ValueError, match=r"^feature_sizes .*\(6\), got \(3, 2"):
        model.build({"frames": (None, 6, 6), "num_frames": (None,)})


def test_a_negative_number_of_sampled_frames_is_an_error():
    message = r"^sample_frames must be 0 or more, got -1\.$"
    with pytest.raises(ValueError, match=message):
        make_model(sample_frames=-1)
