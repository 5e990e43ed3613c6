"""What all tests share: a quiet TensorFlow, fixed seeds."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras  # noqa: E402
import pytest  # noqa: E402

pytest.register_assert_rewrite("tests.golden", "tests.layer_checks")


@pytest.fixture(autouse=True)
def fixed_seeds():
    """Seeds Python, NumPy and the backend before every test."""
    keras.utils.set_random_seed(0)
