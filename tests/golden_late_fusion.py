"""Loads the references' pooling models into ours, for golden values."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from distill.models.late_fusion import LateFusion
from tests.golden import GoldenModel


def is_on(golden: GoldenModel, flag: str) -> bool:
    """Returns whether a flag of the reference is given as true."""
    return golden.flags.get(flag, "false") == "true"


def feature_sizes(golden: GoldenModel, scopes: Sequence[str]) -> list[int]:
    """Returns the width of every feature, by its scope in the reference."""
    return [
        golden.weights[f"{scope}/cluster_weights"].shape[0] for scope in scopes
    ]


def build_and_load(
    model: LateFusion,
    golden: GoldenModel,
    scopes: Sequence[str],
    names: Mapping[str, str],
) -> None:
    """Builds a model and gives it all the reference's weights.

    Args:
      model: The model.
      golden: The reference's inputs and weights.
      scopes: What the names of each pooling layer's weights begin with.
      names: Our name of each such weight by the reference's; a path such as
        `gates.kernel` reaches into sublayers.
    """
    model(golden.inputs)
    left = dict(golden.weights)

    def take(name):
        return left.pop(name)

    assign_norm(model.input_norm, take, "input_bn")
    for pool, scope in zip(model.pools, scopes, strict=True):
        assign_norm(pool.assignment.norm, take, f"{scope}/cluster_bn")
        pool.assignment.kernel.assign(take(f"{scope}/cluster_weights"))
        for theirs, ours in names.items():
            if f"{scope}/{theirs}" in left:
                weight = take(f"{scope}/{theirs}")
                variable = _reach(pool, ours)
                variable.assign(weight.reshape(variable.shape))
        if f"{scope}/cluster_bn_2/gamma" in left:
            assign_norm(pool.gates.norm, take, f"{scope}/cluster_bn_2")
    model.hidden.kernel.assign(take("hidden1_weights"))
    if model.hidden_activation:
        assign_norm(model.hidden.norm, take, "hidden1_bn")
    else:
        model.hidden.bias.assign(take("hidden1_biases"))
    if model.gating:
        model.context_gating.kernel.assign(take("gating_weights_2"))
        assign_norm(model.context_gating.norm, take, "gating_bn")
    assign_mixture(model.classifier, take)
    assert not left, f"weights of the reference without a place: {list(left)}"


def assign_norm(norm: keras.layers.BatchNormalization, take, scope) -> None:
    """Loads a batch norm; `take` returns a weight of the reference by name."""
    norm.gamma.assign(take(f"{scope}/gamma"))
    norm.beta.assign(take(f"{scope}/beta"))
    norm.moving_mean.assign(take(f"{scope}/moving_mean"))
    norm.moving_variance.assign(take(f"{scope}/moving_variance"))


def assign_mixture(classifier, take) -> None:
    """Loads a mixture of experts, with its probability gating if it has."""
    classifier.gates_kernel.assign(take("gates/weights"))
    classifier.experts_kernel.assign(take("experts/weights"))
    classifier.experts_bias.assign(take("experts/biases"))
    if classifier.prob_gating is not None:
        classifier.prob_gating.kernel.assign(take("gating_prob_weights"))
        assign_norm(classifier.prob_gating.norm, take, "gating_prob_bn")


def assert_golden_predictions(model, golden: GoldenModel) -> None:
    """Compares a model's predictions with the reference's to 1e-5."""
    np.testing.assert_allclose(
        model(golden.inputs)["predictions"],
        golden.outputs["predictions"],
        rtol=0,
        atol=1e-5,
    )


def _reach(layer, path):
    for name in path.split("."):
        layer = getattr(layer, name)
    return layer
