"""A student's step written out: formulas, a gradient, the rate times it."""

import dataclasses

import numpy as np
import tensorflow as tf

from distill.checkpoints.checkpoint import weight_names
from tests.training.tiny_networks import TRAINING, numpy_inputs

RATE = 0.5
PLAIN_STEPS = dataclasses.replace(
    TRAINING, optimizer="SGD", clip_gradient_norm=0.0
)


def weights_of(network):
    return {
        name: weight.numpy()
        for name, weight in weight_names(network.model).items()
    }


def assert_weights(network, expected, **tolerances):
    for name, weight in weight_names(network.model).items():
        np.testing.assert_allclose(
            weight, expected[name], rtol=0, err_msg=name, **tolerances
        )


def cross_entropy(labels, predictions):
    terms = labels * tf.math.log(predictions + 1e-5)
    terms += (1 - labels) * tf.math.log(1 - predictions + 1e-5)
    return -tf.reduce_mean(tf.reduce_sum(terms, axis=1))


def divergence(teacher, student):
    teacher /= tf.reduce_sum(teacher, axis=1, keepdims=True)
    student /= tf.reduce_sum(student, axis=1, keepdims=True)
    terms = teacher * tf.math.log(teacher / student)
    return tf.reduce_mean(tf.reduce_sum(terms, axis=1))


def distance(teacher, student):
    squares = tf.reduce_sum(tf.square(teacher - student), axis=1)
    return tf.reduce_mean(squares)


def penalty(model):
    matrices = model.classifier.gates_kernel, model.classifier.experts_kernel
    return sum(0.1 / 2 * tf.reduce_sum(tf.square(m.value)) for m in matrices)


def weights_after_a_plain_step(student, batch, loss):
    """Returns weights by name after a step down a loss of the outputs."""
    weights = weight_names(student.model)
    variables = {name: w.value for name, w in weights.items() if w.trainable}
    inputs = numpy_inputs(batch, student.budget.every_n)
    with tf.GradientTape() as tape:
        value = loss(student.model(inputs))
    gradients = tape.gradient(value, variables)
    return weights_of(student) | {
        name: (variable - RATE * gradients[name]).numpy()
        for name, variable in variables.items()
        if gradients[name] is not None
    }


def constant_outputs(network, batch):
    inputs = numpy_inputs(batch, network.budget.every_n)
    return {key: tf.constant(v) for key, v in network.model(inputs).items()}
