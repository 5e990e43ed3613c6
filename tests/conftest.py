"""Set-up of all tests: a quiet TensorFlow, fixed seeds, Ctrl-C."""

import os
import signal

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import pytest
import tensorflow as tf

# What is started in the background ignores Ctrl-C, by nohup a closed terminal
# as well, and so would all that tests start: handlers are not handed on.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if signal.getsignal(signal.SIGHUP) == signal.SIG_IGN:
    signal.signal(signal.SIGHUP, lambda *_: None)

pytest.register_assert_rewrite("tests.golden", "tests.layer_checks")


@pytest.fixture(autouse=True)
def fixed_seeds():
    """Seeds Python, NumPy and the backend before every test."""
    keras.utils.set_random_seed(0)


@pytest.fixture
def eager():
    """Runs steps without graphs, which take seconds to trace."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)
