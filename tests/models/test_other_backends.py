"""Models in PyTorch and JAX against TensorFlow, which the other tests check."""

import numpy as np
import pytest

from distill.models import registry
from tests.tools.backends.local_runner import LocalRunner
from tools.backends.comparison import (
    REFERENCE,
    compare_backends,
    run_models,
    write_models,
)
from tools.backends.process import BackendProcess, installed_backends
from tools.backends.report import print_backends
from tools.backends.settings import ComparisonSettings

# Keras 3.15 itself copies variables in NumPy 1's way when it saves.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)
OTHERS = [name for name in installed_backends() if name != REFERENCE]
SETTINGS = ComparisonSettings(batch_size=4, frames=9, repeats=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Returns the folder of the models' files."""
    path = tmp_path_factory.mktemp("models")
    write_models(path, SETTINGS)
    return path


@pytest.fixture(scope="module")
def expected(folder):
    """Returns TensorFlow's predictions by model."""
    return run_models(LocalRunner(), folder, SETTINGS)


@pytest.fixture(autouse=True)
def quick_compilation(monkeypatch):
    """Lets JAX compile in a third of the time, to slower programs."""
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=0")


def assert_equals_tensorflow(folder, expected, backend):
    with BackendProcess(backend, gpu=-1) as process:
        results = run_models(process, folder, SETTINGS)
    for name in registry.MODELS:
        assert results[name]["device"] == "CPU"
        np.testing.assert_allclose(
            results[name]["predictions"],
            expected[name]["predictions"],
            rtol=0,
            atol=1e-4,
            err_msg=name,
        )


@pytest.mark.nightly
def test_predictions_differ_from_video_to_video(expected):
    for name in registry.MODELS:
        predictions = expected[name]["predictions"]
        assert predictions.shape == (4, SETTINGS.schema.num_classes)
        assert np.ptp(predictions, axis=0).max() > 1e-3, name


@pytest.mark.nightly
def test_every_model_predicts_as_in_tensorflow_on_another_backend(
    folder, expected
):
    if not OTHERS:
        pytest.skip("neither PyTorch nor JAX is installed (extras torch, jax)")
    assert_equals_tensorflow(folder, expected, OTHERS[0])


@pytest.mark.nightly
@pytest.mark.parametrize("backend", OTHERS[1:])
def test_every_model_predicts_as_in_tensorflow_on_a_third(
    folder, expected, backend
):
    assert_equals_tensorflow(folder, expected, backend)


@pytest.mark.nightly
def test_the_comparison_holds_a_row_a_model_and_backend(capsys):
    settings = ComparisonSettings(
        ("MoeModel", "DbofModel"), batch_size=3, frames=5, repeats=1
    )
    results = compare_backends(settings, OTHERS, gpu=-1)
    assert [(result.model, result.backend) for result in results] == [
        (model, backend)
        for model in settings.models
        for backend in (REFERENCE, *OTHERS)
    ]
    for result in results:
        assert result.difference <= 1e-4
        assert result.forward > 0
        assert result.gradient_step > 0
    print_backends(results, ["theano"])
    rows = capsys.readouterr().out.splitlines()
    assert any("theano" in row and "not installed" in row for row in rows)
    assert sum("MoeModel" in row for row in rows) == 1 + len(OTHERS)


def test_an_unknown_model_is_an_error():
    with pytest.raises(ValueError, match="Did you mean 'MoeModel'"):
        ComparisonSettings(("MoeModle",))
