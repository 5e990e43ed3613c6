"""Training steps of a backend against NumPy, on each backend installed."""

import numpy as np
import pytest

from distill.models import registry
from distill.models.frame_budget import ALL_FRAMES
from distill.models.raw_video_model import RawVideoModel
from distill.settings.training import TrainingSettings
from tests.tools.backends.local_runner import LocalRunner
from tools.backends.process import BackendProcess, installed_backends

# Keras 3.15 itself copies variables in NumPy 1's way when it saves.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)
OTHERS = [name for name in installed_backends() if name != "tensorflow"]
EPSILON, RATE, L2, CLIP, STEPS = 1e-5, 0.05, 0.1, 0.3, 4
TRAINING = TrainingSettings(
    "none",
    base_learning_rate=RATE,
    adam_epsilon=1e-3,
    clip_gradient_norm=CLIP,
)


@pytest.fixture(scope="module")
def logistic(tmp_path_factory):
    """Returns the file of a logistic regression and its two weights."""
    model = registry.build_model(
        "LogisticModel",
        arguments={"logistic_l2": L2},
        num_classes=5,
        feature_sizes=(7,),
        max_frames=1,
        model_name="student",
    )
    raw = RawVideoModel(model, ALL_FRAMES, 1, 1)
    raw.build({"features": (None, 7)})
    rng = np.random.default_rng(3)
    kernel, bias = rng.normal(size=(7, 5)), rng.normal(size=5)
    model.set_weights([kernel, bias])
    path = tmp_path_factory.mktemp("logistic") / "model.keras"
    raw.save(path)
    return str(path), kernel, bias


def make_batches():
    rng = np.random.default_rng(4)
    return [
        (
            rng.normal(size=(6, 7)).astype(np.float32),
            (rng.random((6, 5)) < 0.3).astype(np.float32),
        )
        for _ in range(STEPS)
    ]


def predict(features, kernel, bias):
    inputs = features / np.linalg.norm(features, axis=1, keepdims=True)
    return inputs, 1 / (1 + np.exp(-(inputs @ kernel + bias)))


def train_in_numpy(kernel, bias, batches):
    """Returns the losses of steps of Adam, and the weights after them."""
    weights = [np.array(kernel), np.array(bias)]
    moments = [[np.zeros_like(w), np.zeros_like(w)] for w in weights]
    found = []
    for step, (features, labels) in enumerate(batches, start=1):
        inputs, p = predict(features, *weights)
        terms = labels * np.log(p + EPSILON)
        terms += (1 - labels) * np.log(1 - p + EPSILON)
        penalty = L2 / 2 * (weights[0] ** 2).sum()
        found.append(-terms.sum(axis=1).mean() + penalty)
        slopes = (1 - labels) / (1 - p + EPSILON) - labels / (p + EPSILON)
        slopes *= p * (1 - p) / len(labels)
        gradients = [inputs.T @ slopes + L2 * weights[0], slopes.sum(axis=0)]
        for index, gradient in enumerate(gradients):
            gradient = gradient * min(1, CLIP / np.linalg.norm(gradient))
            mean, square = moments[index]
            mean[:] = 0.9 * mean + 0.1 * gradient
            square[:] = 0.999 * square + 0.001 * gradient**2
            rate = RATE * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
            weights[index] -= rate * mean / (np.sqrt(square) + 1e-3)
    return found, weights


def assert_trains_as_numpy(process, logistic):
    path, kernel, bias = logistic
    batches = make_batches()
    expected, weights = train_in_numpy(kernel, bias, batches)
    process.call("load", path)
    process.call("prepare_training", TRAINING)
    found = [process.call("train", {"features": x}, y) for x, y in batches]
    np.testing.assert_allclose([f[0] for f in found], expected, rtol=1e-5)
    assert min(seconds for _, seconds in found) > 0
    features, _ = batches[0]
    np.testing.assert_allclose(
        process.call("predict", {"features": features}),
        predict(features, *weights)[1],
        atol=1e-5,
    )
    assert process.call("device") == "CPU"
    assert process.call("peak_bytes") > 2**20


def test_steps_are_adam_on_the_label_loss_and_the_penalty(logistic):
    assert_trains_as_numpy(LocalRunner(), logistic)


@pytest.mark.slow
@pytest.mark.parametrize("backend", OTHERS)
def test_steps_on_another_backend_are_the_same(logistic, backend):
    with BackendProcess(backend, gpu=-1) as process:
        assert_trains_as_numpy(process, logistic)
