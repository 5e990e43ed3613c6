"""What `distill inspect` says of a checkpoint, against NumPy."""

import h5py
import numpy as np
import pytest
from stage_runs import error_line, run_script

from distill.checkpoints.checkpoint import CheckpointError, weight_names
from distill.checkpoints.inspection import describe_checkpoint
from tests.training.tiny_networks import make_network, write_trained


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Returns a checkpoint and the weights that were written into it."""
    network = make_network("student", seed=3)
    path = write_trained(tmp_path_factory.mktemp("run") / "some.h5", network)
    weights = weight_names(network.model)
    return path, {name: np.asarray(value) for name, value in weights.items()}


def test_every_variable_has_its_shape_norm_and_extremes(trained):
    path, weights = trained
    found = {v.name: v for v in describe_checkpoint(path).variables}
    assert set(found) == {f"student/{name}" for name in weights}
    for name, values in weights.items():
        variable = found[f"student/{name}"]
        assert variable.shape == values.shape
        assert variable.num_values == values.size
        numbers = (variable.norm, variable.least, variable.greatest)
        squares = np.sum(np.square(values, dtype=np.float64))
        expected = (np.sqrt(squares), values.min(), values.max())
        np.testing.assert_allclose(numbers, expected, rtol=1e-6)


def test_groups_have_the_sums_of_their_variables(trained):
    path, weights = trained
    total = sum(values.size for values in weights.values())
    totals = describe_checkpoint(path).totals()
    assert totals == {"student": (len(weights), total)}


def test_settings_and_progress_stand_under_their_names(trained):
    settings = dict(describe_checkpoint(trained[0]).settings)
    assert settings["student.model"] == "HierarchicalLstmModel"
    assert settings["file"] == str(trained[0])
    assert any(name.startswith("progress.") for name in settings)


def test_a_file_that_is_no_checkpoint_is_named(tmp_path):
    path = tmp_path / "other.h5"
    with h5py.File(path, "w") as file:
        file["student/kernel"] = np.zeros(3)
    with pytest.raises(CheckpointError, match=r"other\.h5"):
        describe_checkpoint(path)


def test_the_verb_prints_settings_variables_and_groups(trained):
    done = run_script("inspect", f"--checkpoint={trained[0]}")
    name, values = next(iter(trained[1].items()))
    shape = "x".join(map(str, values.shape))
    (row,) = [line for line in done.stdout.splitlines() if name in line]
    assert row.split()[1:4:2] == [f"student/{name}", shape]
    done = run_script("inspect", f"--checkpoint={trained[0]}", "--novariables")
    assert name not in done.stdout
    done = run_script("inspect", "--checkpoint=/nowhere/x.h5", status=1)
    assert "/nowhere/x.h5" in error_line(done)
