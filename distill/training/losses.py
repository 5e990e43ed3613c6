"""Losses per example, against labels and against a teacher."""

import keras
from keras import ops

CROSS_ENTROPY_EPSILON = 1e-5
_SMALLEST_SHARE = 1e-7


def cross_entropy(labels, predictions):
    """Returns the binary cross-entropy summed over classes.

    YouTube-8M starter code, `CrossEntropyLoss`, epsilon 1e-5.

    Args:
      labels: `[batch, classes]` floats in [0, 1].
      predictions: `[batch, classes]` probabilities.

    Returns:
      `[batch]` floats.
    """
    positive = labels * ops.log(predictions + CROSS_ENTROPY_EPSILON)
    negative = (1 - labels) * ops.log(1 - predictions + CROSS_ENTROPY_EPSILON)
    return -ops.sum(positive + negative, axis=-1)


def hinge(labels, predictions):
    """Returns the hinge loss with margin 1 summed over classes, `[batch]`.

    YouTube-8M starter code, `HingeLoss`: labels become -1 and 1.
    """
    signs = 2 * labels - 1
    return ops.sum(ops.maximum(1 - signs * predictions, 0), axis=-1)


def softmax(labels, predictions):
    """Returns the softmax cross-entropy, `[batch]`.

    YouTube-8M starter code, `SoftmaxLoss`: the labels are divided by their
    number, the predictions are taken as logits.
    """
    num_labels = ops.sum(labels, axis=-1, keepdims=True)
    shares = labels / ops.maximum(num_labels, 1e-7)
    return -ops.sum(shares * ops.log_softmax(predictions, axis=-1), axis=-1)


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
    return sum(model.losses, start=ops.zeros(()))
