"""Losses per example, against labels and against a teacher.

Predictions of a `teacher` and a `student` are probabilities `[batch, classes]`,
their embeddings `[batch, dim]` floats. Results are `[batch]` floats, summed
over classes, unless a function says otherwise.
"""

import keras
from keras import ops

from distill.models.preprocessing import l2_normalize

CROSS_ENTROPY_EPSILON = 1e-5
# Constants of Bhardwaj et al. 2019, released code.
_SPARSITY_WEIGHT = 0.1
_TOP = 50
_TOP_FACTOR = 4716 / _TOP
_SURE = 0.9
_MARGIN = 0.1
_SMALLEST_FRACTION = 1e-7
_SMALLEST_PROBABILITY = 1e-6
# A difference of squares below this fraction of them is rounding.
_ROUNDING = 1e-12
_SMALLEST_RATIO = 1e-5


def cross_entropy(
    labels, predictions, weights=None, positive_weights=None, alpha=0.5
):
    """Returns the binary cross-entropy.

    YouTube-8M starter code, `CrossEntropyLoss`, epsilon 1e-5; with `alpha`
    that of Miech, Laptev and Sivic 2017 (the WILLOW code).

    Args:
      labels: `[batch, classes]` floats in [0, 1].
      predictions: `[batch, classes]` probabilities.
      weights: Floats `[classes]` or `[batch, classes]`, factors of the
        classes' terms; None: 1.
      positive_weights: Floats `[classes]`, factors of the terms of labels
        alone; None: 1.
      alpha: Half the factor of these terms; 1 - alpha is half that of the
        terms of absent labels.
    """
    positive, negative = _binary_terms(labels, predictions)
    if positive_weights is not None:
        positive = positive_weights * positive
    if alpha != 0.5:
        positive, negative = 2 * alpha * positive, 2 * (1 - alpha) * negative
    return _sum_over_classes(positive + negative, weights)


def _binary_terms(labels, predictions):
    """Returns the cross-entropy's terms of labels and of absent labels."""
    positive = labels * ops.log(predictions + CROSS_ENTROPY_EPSILON)
    negative = (1 - labels) * ops.log(1 - predictions + CROSS_ENTROPY_EPSILON)
    return -positive, -negative


def cross_entropy_with_sparsity(labels, predictions, weights=None):
    """Returns the cross-entropy and 0.1 times the sum of the predictions.

    The arguments of this and the next four are `cross_entropy`'s; all are of
    the released code of Bhardwaj et al. 2019, under the names of
    `LABEL_LOSSES`.
    """
    sparsity = _sum_over_classes(_SPARSITY_WEIGHT * predictions, weights)
    return cross_entropy(labels, predictions, weights) + sparsity


def cross_entropy_of_top(labels, predictions, weights=None):
    """Returns 4716 / 50 times the cross-entropy of the 50 best predictions.

    Predictions as good as the 50th count too.
    """
    num_classes = predictions.shape[-1]
    best, _ = ops.top_k(predictions, min(_TOP, num_classes))
    is_top = ops.cast(predictions >= best[:, -1:], "float32")
    positive, negative = _binary_terms(labels, predictions)
    terms = _TOP_FACTOR * is_top * (positive + negative)
    return _sum_over_classes(terms, weights)


def cross_entropy_of_positives(labels, predictions, weights=None):
    """Returns the cross-entropy's terms of labels alone."""
    positive, _ = _binary_terms(labels, predictions)
    return _sum_over_classes(positive, weights)


def cross_entropy_of_unsure(labels, predictions, weights=None):
    """Returns the cross-entropy of what is not yet told apart.

    These are labels with predictions below 0.9, and absent labels with
    predictions above both 0.1 and the smallest one of a label in the batch,
    less 0.1.
    """
    positive, negative = _binary_terms(labels, predictions)
    given = labels if weights is None else labels * weights
    of_labels = ops.where(given > 0, predictions, ops.ones_like(predictions))
    smallest = ops.min(of_labels, initial=1.0)
    bound = ops.maximum(smallest - _MARGIN, _MARGIN)
    terms = positive * ops.cast(predictions < _SURE, "float32")
    terms += negative * ops.cast(predictions > bound, "float32")
    return _sum_over_classes(terms, weights)


def pairwise_error(labels, predictions, weights=None):
    """Returns the sum over pairs i, j of p_i (1 - p_j) exp(y_j - y_i).

    It is divided by sum p times sum (1 - p) of the video. The sum over pairs
    is a product of two sums.
    """
    absent = 1 - predictions
    upper = _sum_over_classes(predictions * ops.exp(-labels), weights)
    lower = _sum_over_classes(absent * ops.exp(labels), weights)
    scale = _sum_over_classes(predictions, weights)
    scale *= _sum_over_classes(absent, weights)
    return upper * lower / ops.maximum(scale, _SMALLEST_FRACTION)


def hinge(labels, predictions, weights=None, margin=1.0):
    """Returns the hinge loss; arguments as `cross_entropy`'s.

    YouTube-8M starter code, `HingeLoss`: labels become -1 and 1.
    """
    signs = 2 * labels - 1
    terms = ops.maximum(margin - signs * predictions, 0)
    return _sum_over_classes(terms, weights)


def softmax(labels, predictions, weights=None):
    """Returns the softmax cross-entropy; arguments as `cross_entropy`'s.

    YouTube-8M starter code, `SoftmaxLoss`: the labels are divided by their
    number, the predictions are logits. Weights do not enter the softmax.
    """
    num_labels = ops.sum(labels, axis=-1, keepdims=True)
    targets = labels / ops.maximum(num_labels, 1e-7)
    return -_sum_over_classes(
        targets * ops.log_softmax(predictions, axis=-1), weights
    )


def _sum_over_classes(terms, weights):
    return ops.sum(terms if weights is None else weights * terms, axis=-1)


def normalised_kl(teacher, student):
    """Returns KL(teacher, student) of predictions normalised to sum 1.

    Bhardwaj et al. 2019, released code. Normalised predictions below 1e-7
    count as 1e-7.
    """
    teacher, student = _normalise(teacher), _normalise(student)
    return ops.sum(teacher * ops.log(teacher / student), axis=-1)


def _normalise(predictions):
    total = ops.sum(predictions, axis=-1, keepdims=True)
    normalised = predictions / ops.maximum(total, _SMALLEST_FRACTION)
    return ops.clip(normalised, _SMALLEST_FRACTION, 1.0)


def soft_cross_entropy(teacher, student, temperature=1.0):
    """Returns the cross-entropy against the teacher's probabilities.

    Hinton, Vinyals and Dean, "Distilling the knowledge in a neural network",
    2015, section 2, for independent classes: the logits of both are divided by
    the temperature, above 0. The loss is multiplied by its square, so that the
    gradient keeps its scale.
    """
    if temperature == 1.0:
        return cross_entropy(teacher, student)
    return temperature**2 * cross_entropy(
        _soften(teacher, temperature), _soften(student, temperature)
    )


def _soften(probabilities, temperature):
    """Returns the probabilities whose logits are divided by a temperature."""
    clipped = ops.clip(
        probabilities, _SMALLEST_PROBABILITY, 1 - _SMALLEST_PROBABILITY
    )
    logits = ops.log(clipped) - ops.log(1 - clipped)
    return ops.sigmoid(logits / temperature)


def correlation_distance(teacher, student):
    """Returns 1 - the correlation of each class's scores, `[classes]`.

    Huang et al., "Knowledge distillation from a stronger teacher" (DIST),
    NeurIPS 2022, equation 9, the term within classes, on probabilities. It
    lies in [0, 2], and is 1 for a class whose scores are all equal.
    """
    return 1 - ops.sum(_standardize(teacher) * _standardize(student), axis=0)


def _standardize(scores):
    """Returns each class's deviations from its mean, scaled to norm 1.

    Deviations within float32's rounding become 0.
    """
    deviations = scores - ops.mean(scores, axis=0, keepdims=True)
    squares = ops.sum(ops.square(deviations), axis=0, keepdims=True)
    least = _ROUNDING * ops.sum(ops.square(scores), axis=0, keepdims=True)
    varies = squares > least
    norms = ops.sqrt(ops.where(varies, squares, 1))
    return ops.where(varies, deviations / norms, 0)


def relational_distance(teacher, student):
    """Returns how much the distances between embeddings of a batch differ.

    Park et al., "Relational knowledge distillation", CVPR 2019, equations 5 to
    8: Huber's loss between the pairwise distances of the teacher's and of the
    student's embeddings, each divided by their mean. Results are means over
    the other videos, 0 for a single one. The widths may differ.
    """
    difference = ops.abs(
        _relative_distances(teacher) - _relative_distances(student)
    )
    huber = ops.where(
        difference < 1, 0.5 * ops.square(difference), difference - 0.5
    )
    others = ops.maximum(ops.cast(ops.shape(huber)[0], "float32") - 1, 1.0)
    return ops.sum(huber, axis=1) / others


def _relative_distances(embeddings):
    """Returns `[batch, batch]` distances over their mean between others."""
    embeddings = embeddings - ops.mean(embeddings, axis=0, keepdims=True)
    products = ops.matmul(embeddings, ops.transpose(embeddings))
    squares = ops.diagonal(products)
    sums = squares[:, None] + squares[None]
    squared = sums - 2 * products
    # The root has no gradient at 0: a video and itself, or its copy.
    others = squared > _SMALLEST_RATIO * sums
    distances = ops.where(others, ops.sqrt(ops.where(others, squared, 1)), 0)
    num_others = ops.sum(ops.cast(others, "float32"))
    mean = ops.sum(distances) / ops.maximum(num_others, 1.0)
    return distances / ops.maximum(mean, _SMALLEST_FRACTION)


def normalized_distance(teacher, student):
    """Returns the squared distance of the embeddings scaled to norm 1.

    It is twice 1 - the cosine of their angle and lies in [0, 4].
    """
    return squared_distance(l2_normalize(teacher), l2_normalize(student))


def squared_distance(teacher, student):
    """Returns the squared Euclidean distance.

    Bhardwaj et al. 2019, L_REP (of embeddings) and L_PRED (of predictions).
    """
    return ops.sum(ops.square(teacher - student), axis=-1)


def batch_mean(values):
    """Returns the mean of `[batch]` losses, a scalar; 0 of an empty batch."""
    count = ops.maximum(ops.size(values), 1)
    return ops.sum(values) / ops.cast(count, values.dtype)


LABEL_LOSSES = {
    "CrossEntropyLoss": cross_entropy,
    "HingeLoss": hinge,
    "SoftmaxLoss": softmax,
    "CrossEntropyLossWithSparsity": cross_entropy_with_sparsity,
    "CrossEntropyLossTop50": cross_entropy_of_top,
    "CrossEntropyLossPositives": cross_entropy_of_positives,
    "NewLoss": cross_entropy_of_unsure,
    "PWELoss": pairwise_error,
}

PREDICTION_LOSSES = {
    "kl": normalised_kl,
    "squared_error": squared_distance,
    "cross_entropy": soft_cross_entropy,
    "correlation": correlation_distance,
}

REPRESENTATION_LOSSES = {
    "squared_distance": squared_distance,
    "normalized_distance": normalized_distance,
}


def weight_penalty(model: keras.Model):
    """Returns the sum of the model's weight penalties, a scalar.

    It is for TensorFlow alone; the other losses run on any Keras backend.
    """
    import tensorflow as tf

    total = ops.zeros(())
    for weight in model.trainable_weights:
        if isinstance(weight.regularizer, keras.regularizers.L2):
            # One operation reads the weights once, in the gradient too.
            total += 2 * weight.regularizer.l2 * tf.nn.l2_loss(weight.value)
        elif weight.regularizer is not None:
            total += weight.regularizer(weight)
    return total
