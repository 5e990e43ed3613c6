"""Losses per example, against labels and against a teacher."""

import keras
import tensorflow as tf
from keras import ops

CROSS_ENTROPY_EPSILON = 1e-5
_SMALLEST_SHARE = 1e-7


def cross_entropy(labels, predictions, weights=None):
    """Returns the binary cross-entropy summed over classes.

    YouTube-8M starter code, `CrossEntropyLoss`, epsilon 1e-5.

    Args:
      labels: `[batch, classes]` floats in [0, 1].
      predictions: `[batch, classes]` probabilities.
      weights: Floats `[classes]` or `[batch, classes]`, factors of the
        classes' terms; None: 1.

    Returns:
      `[batch]` floats.
    """
    positive = labels * ops.log(predictions + CROSS_ENTROPY_EPSILON)
    negative = (1 - labels) * ops.log(1 - predictions + CROSS_ENTROPY_EPSILON)
    return -_sum_over_classes(positive + negative, weights)


def hinge(labels, predictions, weights=None):
    """Returns the hinge loss with margin 1 summed over classes, `[batch]`.

    YouTube-8M starter code, `HingeLoss`: labels become -1 and 1. Arguments as
    those of `cross_entropy`.
    """
    signs = 2 * labels - 1
    return _sum_over_classes(ops.maximum(1 - signs * predictions, 0), weights)


def softmax(labels, predictions, weights=None):
    """Returns the softmax cross-entropy, `[batch]`.

    YouTube-8M starter code, `SoftmaxLoss`: the labels are divided by their
    number, the predictions are taken as logits. Arguments as those of
    `cross_entropy`; the weights are factors of the classes' shares, and the
    softmax is over all classes whatever their weights.
    """
    num_labels = ops.sum(labels, axis=-1, keepdims=True)
    shares = labels / ops.maximum(num_labels, 1e-7)
    return -_sum_over_classes(
        shares * ops.log_softmax(predictions, axis=-1), weights
    )


def _sum_over_classes(terms, weights):
    return ops.sum(terms if weights is None else weights * terms, axis=-1)


def normalised_kl(teacher, student):
    """Returns KL(teacher, student) of predictions normalised to sum 1.

    Bhardwaj et al. 2019, released code. Shares below 1e-7 count as 1e-7.

    Args:
      teacher: `[batch, classes]` probabilities.
      student: `[batch, classes]` probabilities.

    Returns:
      `[batch]` floats.
    """
    teacher, student = _to_shares(teacher), _to_shares(student)
    return ops.sum(teacher * ops.log(teacher / student), axis=-1)


def _to_shares(predictions):
    total = ops.sum(predictions, axis=-1, keepdims=True)
    shares = predictions / ops.maximum(total, _SMALLEST_SHARE)
    return ops.clip(shares, _SMALLEST_SHARE, 1.0)


def squared_distance(teacher, student):
    """Returns the squared Euclidean distance of `[batch, dim]`, `[batch]`.

    Bhardwaj et al. 2019, L_REP (of embeddings) and L_PRED (of predictions).
    """
    return ops.sum(ops.square(teacher - student), axis=-1)


LABEL_LOSSES = {
    "CrossEntropyLoss": cross_entropy,
    "HingeLoss": hinge,
    "SoftmaxLoss": softmax,
}

PREDICTION_LOSSES = {
    "kl": normalised_kl,
    "squared_error": squared_distance,
}


def weight_penalty(model: keras.Model):
    """Returns the sum of the model's weight penalties, a scalar."""
    total = ops.zeros(())
    for weight in model.trainable_weights:
        if isinstance(weight.regularizer, keras.regularizers.L2):
            # One operation that reads the weights once, and back once.
            total += 2 * weight.regularizer.l2 * tf.nn.l2_loss(weight.value)
        elif weight.regularizer is not None:
            total += weight.regularizer(weight)
    return total
