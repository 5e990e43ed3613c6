"""Processes of backends: what is asked of them, and how they fail."""

import pytest

from tools.backends import process as process_module
from tools.backends.process import BackendProcess, check_backends


def test_a_backend_s_failure_is_reported_in_its_words():
    with (
        BackendProcess("theano", gpu=-1) as process,
        pytest.raises(ChildProcessError, match=r"(?s)theano failed:.*theano"),
    ):
        process.call("device")


@pytest.mark.parametrize(
    ("backends", "message"),
    [
        (
            ["theano"],
            "Unknown backend 'theano'.*Choices: jax, tensorflow, torch",
        ),
        ([], "backends must name some of tensorflow, torch, jax"),
    ],
)
def test_unknown_backends_are_an_error(backends, message):
    with pytest.raises(ValueError, match=message):
        check_backends(backends)


def test_a_backend_that_is_missing_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(process_module.MODULES, "torch", "no_such_module")
    with pytest.raises(ValueError, match=r"torch is not installed.*\[torch\]"):
        check_backends(["tensorflow", "torch"])
