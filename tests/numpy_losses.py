"""The losses in NumPy, in float64 and video by video or class by class."""

import itertools

import numpy as np


def numpy_cross_entropy(labels, predictions, weights=1):
    losses = labels * np.log(predictions + 1e-5)
    losses += (1 - labels) * np.log(1 - predictions + 1e-5)
    return -(weights * losses).sum(axis=1)


def numpy_sparsity(labels, predictions, weights=1):
    plain = numpy_cross_entropy(labels, predictions, weights)
    return plain + 0.1 * (weights * predictions).sum(axis=1)


def numpy_positives(labels, predictions, weights=1):
    return -(weights * labels * np.log(predictions + 1e-5)).sum(axis=1)


def numpy_top(labels, predictions, weights=1):
    """The 50 best of a video, where it has as many classes."""
    fiftieth = np.sort(predictions, axis=1)[:, -50:][:, :1]
    top = weights * (predictions >= fiftieth)
    return 4716 / 50 * numpy_cross_entropy(labels, predictions, top)


def numpy_unsure(labels, predictions, weights=1):
    weights = weights * np.ones_like(predictions)
    of_labels = predictions[labels * weights > 0]
    bound = max(0.1, min(of_labels, default=1) - 0.1)
    labelled = labels * np.log(predictions + 1e-5) * (predictions < 0.9)
    absent = (1 - labels) * np.log(1 - predictions + 1e-5)
    absent = absent * (predictions > bound)
    return -(weights * (labelled + absent)).sum(axis=1)


def numpy_pairwise(labels, predictions, weights=1):
    weights = weights * np.ones_like(predictions)
    sums = np.zeros(len(labels))
    for video, (y, p, w) in enumerate(
        zip(labels, predictions, weights, strict=True)
    ):
        for i, j in itertools.product(range(len(p)), repeat=2):
            pair = w[i] * p[i] * w[j] * (1 - p[j])
            sums[video] += pair * np.exp(y[j] - y[i])
        sums[video] /= (w * p).sum() * (w * (1 - p)).sum()
    return sums


def numpy_hinge(labels, predictions, weights=1):
    """For labels in [0, 1]: 0 becomes -1, and 0.5 becomes 0."""
    signs = labels - (1 - labels)
    return (weights * np.maximum(0, 1 - signs * predictions)).sum(axis=1)


def numpy_softmax(labels, predictions, weights=1):
    exponentials = np.exp(predictions)
    softmax = exponentials / exponentials.sum(axis=1, keepdims=True)
    counts = labels.sum(axis=1)
    counts[counts == 0] = 1
    return -(weights * labels * np.log(softmax)).sum(axis=1) / counts


def numpy_kl(teacher, student):
    teacher = teacher / teacher.sum(axis=1, keepdims=True)
    student = student / student.sum(axis=1, keepdims=True)
    return (teacher * np.log(teacher / student)).sum(axis=1)


def numpy_soft_cross_entropy(teacher, student, temperature):
    """Odds to the power of 1 over the temperature, times its square."""
    softened = []
    for probabilities in (teacher, student):
        odds = (probabilities / (1 - probabilities)) ** (1 / temperature)
        softened.append(odds / (1 + odds))
    return temperature**2 * numpy_cross_entropy(*softened)


def numpy_squared_distance(teacher, student):
    return ((teacher - student) ** 2).sum(axis=1)


def numpy_normalized_distance(teacher, student):
    """Twice 1 - the cosine of the angle between the embeddings."""
    products = np.einsum("ij,ij->i", teacher, student)
    norms = np.linalg.norm(teacher, axis=1) * np.linalg.norm(student, axis=1)
    return 2 - 2 * products / norms


def numpy_correlation_distance(teacher, student):
    """1 - Pearson's correlation of each class's column."""
    return np.array(
        [
            1 - np.corrcoef(teacher[:, index], student[:, index])[0, 1]
            for index in range(teacher.shape[1])
        ]
    )


def numpy_relational_distance(teacher, student):
    """Huber's loss of relative distances, mean over the other videos."""
    count = len(teacher)
    if count == 1:
        return np.zeros(1)
    relative = []
    for embeddings in (teacher, student):
        distances = np.zeros((count, count))
        for one, other in itertools.permutations(range(count), 2):
            difference = embeddings[one] - embeddings[other]
            distances[one, other] = np.sqrt((difference**2).sum())
        relative.append(distances / distances[distances > 0].mean())
    gaps = np.abs(relative[0] - relative[1])
    huber = np.where(gaps < 1, gaps**2 / 2, gaps - 1 / 2)
    return huber.sum(axis=1) / (count - 1)


NUMPY_LABEL_LOSSES = {
    "CrossEntropyLoss": numpy_cross_entropy,
    "HingeLoss": numpy_hinge,
    "SoftmaxLoss": numpy_softmax,
    "CrossEntropyLossWithSparsity": numpy_sparsity,
    "CrossEntropyLossTop50": numpy_top,
    "CrossEntropyLossPositives": numpy_positives,
    "NewLoss": numpy_unsure,
    "PWELoss": numpy_pairwise,
}
NUMPY_PREDICTION_LOSSES = {
    "kl": numpy_kl,
    "squared_error": numpy_squared_distance,
    "cross_entropy": numpy_cross_entropy,
    "correlation": numpy_correlation_distance,
}
NUMPY_REPRESENTATION_LOSSES = {
    "squared_distance": numpy_squared_distance,
    "normalized_distance": numpy_normalized_distance,
}
