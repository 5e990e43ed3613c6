"""Weights of several files' scores, fitted to labels by the log loss.

Both problems are convex; Newton's method solves them.
"""

import numpy as np

_MOST_STEPS = 100
_GAP = 1e-9


def fit_mixture(factors: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Finds the weights of the most likely mixture of several predictors.

    They minimise `-sum(counts * log(factors @ weights))` over weights that are
    0 or more and sum to 1. Newton's steps are bounded by 0 and ignore the sum,
    which a term of slope 1 keeps (Kim et al., "A fast algorithm for maximum
    likelihood estimation of mixture proportions using sequential quadratic
    programming", JCGS 2020).

    Args:
      factors: Floats `[rows, files]` above 0: the probability that each file
        gives to the outcome of a row.
      counts: Floats `[rows]` of 0 or more: how often a row counts.

    Returns:
      `[files]`.
    """
    # Beside weights of 0 a row that never counts would be 0 times infinity.
    factors, counts = factors[counts > 0], counts[counts > 0]
    counts = counts / counts.sum()
    weights = np.full(factors.shape[1], 1 / factors.shape[1])

    def objective(weights: np.ndarray) -> float:
        with np.errstate(divide="ignore"):
            return weights.sum() - counts @ np.log(factors @ weights)

    value = objective(weights)
    for _ in range(_MOST_STEPS):
        mixed = factors @ weights
        ratios = counts / mixed
        gradient = 1 - factors.T @ ratios
        # The distance to the optimum is at most this.
        if -gradient.min() < _GAP:
            break
        hessian = (factors * (ratios / mixed)[:, None]).T @ factors
        # Files that are alike leave it singular.
        hessian += 1e-10 * np.trace(hessian) * np.eye(len(hessian))
        direction = (
            _nonnegative_minimum(hessian, hessian @ weights - gradient)
            - weights
        )
        step = _backtrack(
            lambda step, start=weights, to=direction: objective(
                start + step * to
            ),
            value,
            gradient @ direction,
        )
        if not step:
            break
        weights = weights + step * direction
        weights /= weights.sum()
        value = objective(weights)
    return weights


def _nonnegative_minimum(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    """Minimises `x @ matrix @ x / 2 - vector @ x` over x of 0 or more.

    Lawson and Hanson, "Solving least squares problems", 1974, chapter 23; the
    matrix is positive definite.
    """
    size = len(vector)
    free = np.zeros(size, bool)
    found = np.zeros(size)
    tolerance = 1e-12 * max(np.abs(vector).max(), 1.0)
    # Every pass frees one number; in theory none is freed twice.
    for _ in range(3 * size):
        slope = np.where(free, -np.inf, vector - matrix @ found)
        if slope.max() <= tolerance:
            break
        free[slope.argmax()] = True
        while True:
            best = np.zeros(size)
            best[free] = np.linalg.solve(
                matrix[np.ix_(free, free)], vector[free]
            )
            below = free & (best <= 0)
            if not below.any():
                break
            shares = found[below] / (found[below] - best[below])
            found = found + shares.min() * (best - found)
            free &= found > tolerance
            found[~free] = 0.0
        found = best
    return found


def fit_logistic(
    inputs: np.ndarray,
    targets: np.ndarray,
    centre: np.ndarray,
    shrinkage: float,
) -> np.ndarray:
    """Fits a logistic regression whose coefficients stay near a centre.

    They minimise the sum of the rows' log losses plus `shrinkage / 2` times
    the squared distance of the coefficients from the centre.

    Args:
      inputs: Floats `[rows, inputs]`.
      targets: 0 or 1 `[rows]`.
      centre: Floats `[inputs]`.
      shrinkage: Above 0.

    Returns:
      The coefficients, `[inputs]`.
    """
    signs = 2.0 * targets - 1

    def objective(found: np.ndarray) -> float:
        losses = np.logaddexp(0, -signs * (inputs @ found))
        return losses.sum() + shrinkage / 2 * np.sum((found - centre) ** 2)

    found = centre.astype(np.float64)
    value = objective(found)
    for _ in range(_MOST_STEPS):
        probabilities = sigmoid(inputs @ found)
        gradient = inputs.T @ (probabilities - targets)
        gradient += shrinkage * (found - centre)
        spread = probabilities * (1 - probabilities)
        hessian = (inputs * spread[:, None]).T @ inputs
        hessian += shrinkage * np.eye(len(found))
        direction = -np.linalg.solve(hessian, gradient)
        slope = gradient @ direction
        # Half of this is the model's distance to the optimum.
        if -slope < 1e-14 * max(value, 1.0):
            break
        step = _backtrack(
            lambda step, start=found, to=direction: objective(
                start + step * to
            ),
            value,
            slope,
        )
        if not step:
            break
        found = found + step * direction
        value = objective(found)
    return found


def _backtrack(along, value: float, slope: float) -> float:
    """Returns the first step of 1, 1/2, 1/4 ... that descends; 0 for none."""
    for halvings in range(50):
        step = 0.5**halvings
        if along(step) <= value + 1e-4 * step * slope:
            return step
    return 0.0


def sigmoid(values: np.ndarray) -> np.ndarray:
    """Returns `1 / (1 + exp(-values))` without overflow."""
    return 0.5 * (1 + np.tanh(values / 2))
