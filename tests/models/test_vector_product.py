"""Products of vectors with a matrix, against NumPy and Keras's dense layer."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from distill.models.fixed_shapes import fixed_shapes
from distill.models.vector_product import VectorDense, multiply_vectors


def make_factors(*outer):
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(4, 3)).astype(np.float32)
    return rng.normal(size=(*outer, 4)).astype(np.float32), kernel


def differentiate(inputs, kernel, factors):
    """Returns the product, and the gradients of its sum times factors."""
    inputs, kernel = tf.Variable(inputs), keras.Variable(kernel)
    with tf.GradientTape() as tape:
        product = multiply_vectors(inputs + 0.0, kernel)
        total = tf.reduce_sum(product * factors)
    return product, *tape.gradient(total, [inputs, kernel.value])


@pytest.mark.parametrize("graph", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize("outer", [(5,), (1,), (0,), (5, 2)])
def test_product_and_gradients_are_numpy_s(outer, graph):
    inputs, kernel = make_factors(*outer)
    factors = np.arange(3, dtype=np.float32) + np.ones((*outer, 3), np.float32)
    run = differentiate
    if graph:
        unknown = tf.TensorSpec([None, *inputs.shape[1:]], tf.float32)
        inputs_of_variable = tf.function(multiply_vectors)
        spec = inputs_of_variable.get_concrete_function(
            unknown, tf.TensorSpec(kernel.shape, tf.float32)
        )
        run = _differentiate_graph(spec)
    product, d_inputs, d_kernel = run(inputs, kernel, factors)
    np.testing.assert_allclose(product, inputs @ kernel, atol=1e-6)
    np.testing.assert_allclose(d_inputs, factors @ kernel.T, atol=1e-6)
    expected = inputs.reshape(-1, 4).T @ factors.reshape(-1, 3)
    np.testing.assert_allclose(d_kernel, expected, atol=1e-5)


def _differentiate_graph(function):
    def run(inputs, kernel, factors):
        inputs, kernel = tf.Variable(inputs), tf.Variable(kernel)
        with tf.GradientTape() as tape:
            product = function(inputs + 0.0, kernel + 0.0)
            total = tf.reduce_sum(product * factors)
        return product, *tape.gradient(total, [inputs, kernel])

    return run


@pytest.mark.parametrize("use_bias", [False, True])
@pytest.mark.parametrize("activation", [None, "relu"])
def test_the_dense_layer_is_keras_s(activation, use_bias):
    inputs, _ = make_factors(5)
    arguments = {"activation": activation, "use_bias": use_bias}
    ours = VectorDense(3, **arguments)
    theirs = keras.layers.Dense(3, **arguments)
    for layer in (ours, theirs):
        layer.build((None, 4))
    theirs.set_weights(ours.get_weights())
    np.testing.assert_allclose(ours(inputs), theirs(inputs), atol=1e-6)
    assert ours.get_config() == {**theirs.get_config(), "name": ours.name}


def test_graphs_of_other_runtimes_hold_a_plain_product():
    inputs, kernel = make_factors(5)
    with fixed_shapes():
        graph = tf.function(multiply_vectors).get_concrete_function(
            tf.constant(inputs), tf.constant(kernel)
        )
    kinds = {operation.type for operation in graph.graph.get_operations()}
    assert "MatMul" in kinds
    assert "IdentityN" not in kinds
