"""The mixture of experts against NumPy."""

import numpy as np
import pytest

from distill.models.configs import MixtureConfig
from distill.models.mixture_of_experts import MixtureOfExperts
from tests.layer_checks import check_layer, randomise_weights
from tests.numpy_layers import batch_norm, sigmoid
from tests.videos import make_vectors

DIM, CLASSES = 6, 4


def make_layer(**settings):
    return MixtureOfExperts(CLASSES, MixtureConfig(**settings))


def make_built(**arguments):
    layer = make_layer(**arguments)
    layer.build((None, DIM))
    randomise_weights(layer)
    return layer


@pytest.mark.parametrize(
    "arguments",
    [
        {"num_mixtures": 1, "l2": 0.1},
        {"num_mixtures": 3, "l2": 0.1},
        {"prob_gating": True},
        {"prob_gating": True, "prob_gating_remove_diag": True},
        {"low_rank_gating": 2},
    ],
)
def test_mixture_of_experts_passes_the_layer_checks(arguments):
    check_layer(lambda: make_layer(**arguments), make_vectors)


@pytest.mark.parametrize("mixtures", [1, 2, 5])
def test_predictions_weight_each_class_s_experts_and_a_dummy(mixtures):
    (inputs,) = make_vectors(3)
    layer = make_built(num_mixtures=mixtures)
    gates_kernel, experts_kernel, experts_bias = layer.get_weights()
    expected = np.zeros((3, CLASSES))
    for video in range(3):
        for label in range(CLASSES):
            first = label * (mixtures + 1)
            gates = np.exp(
                inputs[video] @ gates_kernel[:, first : first + mixtures + 1]
            )
            gates /= gates.sum()
            for expert in range(mixtures):
                column = label * mixtures + expert
                logit = inputs[video] @ experts_kernel[:, column]
                expected[video, label] += gates[expert] * sigmoid(
                    logit + experts_bias[column]
                )
    np.testing.assert_allclose(layer(inputs), expected, atol=1e-6)


def test_a_fresh_layer_weights_the_dummy_expert_equally():
    """Biases start at zero, as the starter code's do."""
    layer = make_layer(num_mixtures=3)
    layer.build((None, DIM))
    zeros = np.zeros((2, DIM), np.float32)
    np.testing.assert_allclose(layer(zeros), 3 / 4 * 0.5, atol=1e-7)


@pytest.mark.parametrize(("rank", "num_matrices"), [(0, 2), (2, 3)])
def test_penalty_is_half_the_squared_sums_of_all_matrices(rank, num_matrices):
    layer = make_built(low_rank_gating=rank, l2=0.1)
    matrices = [w for w in layer.get_weights() if w.ndim == 2]
    assert len(matrices) == num_matrices
    squares = sum(np.sum(np.square(m, dtype=np.float64)) for m in matrices)
    total = sum(float(penalty) for penalty in layer.losses)
    assert total == pytest.approx(0.1 * squares / 2, rel=1e-6)


def test_low_rank_gates_are_those_of_the_product_of_both_matrices():
    (inputs,) = make_vectors(3)
    factored, whole = make_built(low_rank_gating=2), make_built()
    product = np.asarray(factored.reduction_kernel) @ np.asarray(
        factored.gates_kernel
    )
    whole.set_weights([product, factored.experts_kernel, factored.experts_bias])
    np.testing.assert_allclose(factored(inputs), whole(inputs), atol=1e-6)
    assert factored.reduction_kernel.shape == (DIM, 2)


@pytest.mark.parametrize("remove_diag", [True, False])
def test_gated_probabilities_are_multiplied_by_their_gates(remove_diag):
    (inputs,) = make_vectors(3)
    gated = make_built(prob_gating=True, prob_gating_remove_diag=remove_diag)
    plain = make_built()
    plain.set_weights(
        [gated.gates_kernel, gated.experts_kernel, gated.experts_bias]
    )
    probabilities = np.asarray(plain(inputs), np.float64)
    kernel = np.asarray(gated.prob_gating.kernel, np.float64)
    if remove_diag:
        kernel = kernel - np.diag(np.diag(kernel))
    gates = sigmoid(batch_norm(probabilities @ kernel, gated.prob_gating.norm))
    np.testing.assert_allclose(gated(inputs), probabilities * gates, atol=1e-6)


def test_probability_gating_adds_no_penalty_and_keeps_the_names():
    plain, gated = make_built(), make_built(prob_gating=True)
    assert len(gated.losses) == len(plain.losses) == 2
    names = [weight.name for weight in plain.weights]
    assert names == ["gates_kernel", "experts_kernel", "experts_bias"]
    paths = [weight.path.split("/", 1)[-1] for weight in gated.weights]
    assert [path for path in paths if "prob_gating" not in path] == names
