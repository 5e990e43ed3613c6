"""Models that pool frames by clusters: features, padding, sampling, gates."""

import numpy as np
import pytest
import tensorflow as tf

from distill.models.configs import MixtureConfig
from distill.models.dbof import Dbof, DbofModel
from distill.models.mixture_of_experts import MixtureOfExperts
from distill.models.netfv import NetFvModel
from distill.models.netvlad import NetVladModel
from distill.models.nextvlad import NeXtVladModel
from distill.models.soft_dbof import (
    GatedDbof,
    GatedDbofModel,
    SoftDbof,
    SoftDbofModel,
)
from tests.layer_checks import check_frame_model
from tests.numpy_layers import batch_norm, normalized_dense, sigmoid
from tests.videos import CLASSES, build_for_frames, make_frames, make_model

MAX_FRAMES = 6
LENGTHS = [1, 3, 6, 2]
SIZES = {"feature_sizes": (3, 2), "cluster_size": 16, "hidden_size": 5}


def make_built(sizes=(3, 2), **settings):
    settings = {"cluster_size": 4, "hidden_size": 5} | settings
    model = make_model(NetVladModel, feature_sizes=sizes, **settings)
    return build_for_frames(model, sum(sizes))


def make_inputs(num_features=5):
    """Returns a model's inputs with garbage in the padding."""
    rng = np.random.default_rng(2)
    frames = rng.normal(size=(len(LENGTHS), MAX_FRAMES, num_features))
    return {
        "frames": frames.astype(np.float32),
        "num_frames": np.array(LENGTHS, np.int32),
    }


@pytest.mark.parametrize(
    ("model_class", "settings"),
    [
        (NetVladModel, {}),
        (NetVladModel, {"lightvlad": True, "gating_remove_diag": True}),
        (NetVladModel, {"relu": True, "gating": False}),
        (NetVladModel, {"add_batch_norm": False, "relu": True}),
        (NetVladModel, {"sample_frames": 4}),
        (NetVladModel, {"feature_sizes": (5,)}),
        (NetVladModel, {"feature_sizes": (2, 1, 2)}),
        (NetFvModel, {}),
        (NetFvModel, {"relu": True, "gating": False}),
        (NetFvModel, {"couple_weights": True, "gating_remove_diag": True}),
        (NetFvModel, {"add_batch_norm": False}),
        (SoftDbofModel, {}),
        (SoftDbofModel, {"max_pool": True, "relu": True}),
        (SoftDbofModel, {"add_batch_norm": False, "sample_frames": 3}),
        (GatedDbofModel, {}),
        (GatedDbofModel, {"max_pool": True, "relu": True}),
        (GatedDbofModel, {"add_batch_norm": False, "sample_frames": 3}),
        (DbofModel, {}),
        (DbofModel, {"pooling_method": "average", "sample_frames": 0}),
        (DbofModel, {"add_batch_norm": False, "sample_random_frames": False}),
        (DbofModel, {"activation": "sigmoid"}),
    ],
)
def test_pooling_models_pass_the_model_checks(model_class, settings):
    check_frame_model(
        lambda: make_model(model_class, **SIZES | settings),
        5,
        max_frames=MAX_FRAMES,
    )


@pytest.mark.parametrize("sizes", [(4,), (3, 2, 4)], ids=["one", "three"])
def test_every_feature_is_pooled_and_the_hidden_layer_gates_itself(sizes):
    model, inputs = make_built(sizes), make_inputs(sum(sizes))
    outputs = model(inputs)
    clusters = [pool.num_clusters for pool in model.pools]
    assert clusters == [4, 2, 2][: len(sizes)]
    frames = batch_norm(inputs["frames"], model.input_norm).astype(np.float32)
    mask = np.arange(MAX_FRAMES) < inputs["num_frames"][:, None]
    features = np.split(frames, np.cumsum(sizes)[:-1], axis=2)
    pooled = [
        np.asarray(pool(feature, mask), np.float64)
        for pool, feature in zip(model.pools, features, strict=True)
    ]
    hidden = normalized_dense(np.concatenate(pooled, 1), model.hidden)
    gates = hidden @ np.asarray(model.context_gating.kernel)
    gates = sigmoid(batch_norm(gates, model.context_gating.norm))
    np.testing.assert_allclose(outputs["embedding"], hidden * gates, atol=1e-5)
    np.testing.assert_allclose(
        outputs["predictions"],
        model.classifier(outputs["embedding"]),
        atol=1e-6,
    )


@pytest.mark.parametrize(
    ("activation", "function"),
    [("relu6", lambda x: np.clip(x, 0, 6)), ("sigmoid", sigmoid)],
)
def test_dbof_s_hidden_layer_ends_in_the_activation(activation, function):
    model = make_model(DbofModel, activation=activation, **SIZES)
    build_for_frames(model, 5)
    frames, mask = make_frames(3, num_features=5)
    inputs = {"frames": frames, "num_frames": mask.sum(1).astype(np.int32)}
    pooled = model.pools[0](model.input_norm(frames), mask)
    hidden = normalized_dense(np.asarray(pooled, np.float64), model.hidden)
    np.testing.assert_allclose(
        model(inputs)["embedding"], function(hidden), atol=1e-5
    )


def test_dbof_pools_whole_frames_and_gated_dbof_gates_the_first_feature():
    for model_class, sizes, pools in (
        (DbofModel, (5,), [Dbof]),
        (GatedDbofModel, (3, 2), [GatedDbof, SoftDbof]),
    ):
        model = make_model(model_class, **SIZES)
        assert model.feature_sizes == sizes
        assert [type(pool) for pool in model.pools] == pools


def test_padding_has_no_effect_on_a_training_step():
    inputs = make_inputs()
    frames = inputs["frames"].copy()
    for video, length in zip(frames, inputs["num_frames"], strict=True):
        video[length:] = 0
    dirty, clean = make_built(), make_built()
    outputs = dirty(inputs, training=True)
    expected = clean(inputs | {"frames": frames}, training=True)
    for key in expected:
        np.testing.assert_allclose(outputs[key], expected[key], atol=1e-5)
    for ours, theirs in zip(dirty.weights, clean.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6, err_msg=ours.path)


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize(
    ("model_class", "settings"),
    [
        (NetVladModel, {}),
        (DbofModel, {"sample_frames": 0}),
        (
            NeXtVladModel,
            {"groups": 2, "feature_sizes": (4, 2), "dropout": 0.0},
        ),
    ],
)
def test_frames_beyond_the_longest_video_are_not_computed(
    model_class, settings, traced
):
    """Values that are no numbers would spoil the batch's statistics."""
    settings = SIZES | settings
    width = sum(settings["feature_sizes"])
    inputs = make_inputs(width)
    padding = np.full((len(LENGTHS), 19, width), np.nan, np.float32)
    padding[:, :4] = 1.0
    frames = np.concatenate([inputs["frames"], padding], axis=1)
    models = [make_model(model_class, **settings) for _ in range(2)]
    for model in models:
        build_for_frames(model, width)
    dirty, clean = models
    train = lambda inputs: dirty(inputs, training=True)  # noqa: E731
    outputs = (tf.function(train) if traced else train)(
        inputs | {"frames": frames}
    )
    expected = clean(inputs, training=True)
    for key in expected:
        np.testing.assert_allclose(outputs[key], expected[key], atol=1e-5)
    for ours, theirs in zip(dirty.weights, clean.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6, err_msg=ours.path)


def test_padding_counts_like_frames_if_it_is_not_masked():
    inputs = make_inputs()
    whole = inputs | {"num_frames": np.full(4, MAX_FRAMES, np.int32)}
    masked, unmasked = make_built(), make_built(mask_padding=False)
    np.testing.assert_allclose(
        unmasked(inputs)["embedding"], masked(whole)["embedding"], atol=1e-5
    )


def test_frames_are_drawn_in_training_alone():
    inputs = make_inputs()
    model, plain = make_built(sample_frames=2), make_built()
    np.testing.assert_array_equal(
        model(inputs)["embedding"], plain(inputs)["embedding"]
    )
    embeddings = [
        np.asarray(model(inputs, training=True)["embedding"]) for _ in range(2)
    ]
    assert np.abs(embeddings[0] - embeddings[1]).max() > 1e-3


def test_dbof_draws_thirty_frames_in_training_by_default():
    assert make_model(DbofModel, **SIZES).sampling.sample_frames == 30
    model = make_model(DbofModel, sample_frames=7, **SIZES)
    assert model.sampling.sample_frames == 7


def test_a_training_step_reaches_the_probability_gating():
    config = MixtureConfig(prob_gating=True)
    classifier = MixtureOfExperts(CLASSES, config)
    model = make_built(classifier=classifier)
    statistics = classifier.prob_gating.norm.moving_mean
    before, inputs = np.asarray(statistics), make_inputs()
    model(inputs)
    np.testing.assert_array_equal(statistics, before)
    model(inputs, training=True)
    assert np.all(np.asarray(statistics) != before)


def test_a_feature_with_a_single_cluster_trains():
    model = make_model(SoftDbofModel, **SIZES | {"cluster_size": 4})
    assert [pool.num_clusters for pool in model.pools] == [4, 1]
    inputs = make_inputs()
    step = tf.function(lambda: model(inputs, training=True)["predictions"])
    assert np.isfinite(step()).all()


def test_the_hidden_layer_starts_at_the_scale_of_the_clusters():
    model = make_model(
        NetVladModel, feature_sizes=(40,), cluster_size=16, hidden_size=50
    )
    model.build({"frames": (None, 6, 40), "num_frames": (None,)})
    assert np.std(model.hidden.kernel) == pytest.approx(0.25, rel=0.05)


@pytest.mark.parametrize("sizes", [(), (3, 0)])
def test_feature_sizes_that_are_empty_or_zero_are_an_error(sizes):
    with pytest.raises(ValueError, match=r"^feature_sizes must be one or more"):
        make_model(NetVladModel, feature_sizes=sizes)


def test_features_that_do_not_fill_a_frame_are_an_error():
    model = make_model(NetVladModel, **SIZES)
    with pytest.raises(ValueError, match=r"^feature_sizes .*\(6\), got \(3, 2"):
        model.build({"frames": (None, 6, 6), "num_frames": (None,)})
