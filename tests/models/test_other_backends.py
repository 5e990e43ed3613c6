"""Models in PyTorch and JAX against TensorFlow, which the other tests check."""

from pathlib import Path

import numpy as np
import pytest

from distill.models import registry
from tools.backends import program as backend_program
from tools.backends.comparison import (
    REFERENCE,
    compare_backends,
    installed_backends,
    run_backend,
    write_job,
)
from tools.backends.report import print_backends
from tools.backends.settings import ComparisonSettings

OTHERS = [name for name in installed_backends() if name != REFERENCE]
SETTINGS = ComparisonSettings(batch_size=4, frames=9, repeats=0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Returns a job's folder with TensorFlow's predictions in it."""
    path = tmp_path_factory.mktemp("job")
    write_job(path, SETTINGS)
    backend_program.run_models(path)
    return path


@pytest.fixture(autouse=True)
def quick_compilation(monkeypatch):
    """Lets JAX compile in a third of the time, to slower programs."""
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=0")


def read_results(folder, backend):
    path = backend_program.results_path(folder, backend)
    with np.load(path) as stored:
        return dict(stored)


def assert_equals_tensorflow(folder, backend):
    run_backend(folder, backend, gpu=-1)
    results = read_results(folder, backend)
    expected = read_results(folder, REFERENCE)
    assert results["device"] == "CPU"
    for name in registry.MODELS:
        key = f"{name}/predictions"
        np.testing.assert_allclose(
            results[key], expected[key], rtol=0, atol=1e-4, err_msg=name
        )


@pytest.mark.nightly
def test_predictions_differ_from_video_to_video(folder):
    results = read_results(folder, REFERENCE)
    for name in registry.MODELS:
        predictions = results[f"{name}/predictions"]
        assert predictions.shape == (4, SETTINGS.schema.num_classes)
        assert np.ptp(predictions, axis=0).max() > 1e-3, name


@pytest.mark.nightly
def test_every_model_predicts_as_in_tensorflow_on_another_backend(folder):
    if not OTHERS:
        pytest.skip("neither PyTorch nor JAX is installed (extras torch, jax)")
    assert_equals_tensorflow(folder, OTHERS[0])


@pytest.mark.nightly
@pytest.mark.parametrize("backend", OTHERS[1:])
def test_every_model_predicts_as_in_tensorflow_on_a_third(folder, backend):
    assert_equals_tensorflow(folder, backend)


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


def test_a_backend_s_failure_is_reported_in_its_words(tmp_path):
    with pytest.raises(ChildProcessError, match=r"(?s)theano failed:.*theano"):
        run_backend(tmp_path, "theano", gpu=-1)


def test_an_unknown_model_is_an_error():
    with pytest.raises(ValueError, match="Did you mean 'MoeModel'"):
        ComparisonSettings(("MoeModle",))
