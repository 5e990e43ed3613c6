"""Golden values of the reference implementations, and their weights' places.

The files lie in `tests/golden`, whose README describes their form; another
folder may be given by the environment variable `GOLDEN_DIR`.
"""

import dataclasses
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from distill.models.dbof import DbofModel, MeanMaxDbof
from distill.models.hierarchical_lstm import HierarchicalLstm
from distill.models.late_fusion import LateFusion
from distill.models.nextvlad import NeXtVladModel
from distill.models.recurrent import GruModel, LstmModel

_DEFAULT_DIR = Path(__file__).parent / "golden"
_WEIGHTS = "weights/"
_INPUTS = ("frames", "num_frames", "features")
# Our name of each weight of a pooling layer by the reference's.
_POOL_WEIGHTS = {
    "cluster_weights": "assignment.kernel",
    "cluster_weights2": "centres",
    "covar_weights": "covariances",
    "dim_red": "reduction",
    "cluster_weights_2": "gates.kernel",
}


@dataclasses.dataclass(frozen=True)
class GoldenModel:
    """A reference model at inference time.

    Attributes:
      inputs: `frames` and `num_frames`, or `features`.
      weights: The reference's variables by name.
      outputs: `predictions`, and `embedding` where the reference has one.
      flags: The reference's flags.
      num_classes: Classes of the predictions.
      frame_index: `[batch, number]` frames that the reference draws, if any.
    """

    inputs: Mapping[str, np.ndarray]
    weights: Mapping[str, np.ndarray]
    outputs: Mapping[str, np.ndarray]
    flags: Mapping[str, int | bool | str]
    num_classes: int
    frame_index: np.ndarray | None = None

    @property
    def num_mixtures(self) -> int:
        """The experts per class of the reference's classifier."""
        (biases,) = (
            array
            for name, array in self.weights.items()
            if name.endswith("experts/biases")
        )
        return len(biases) // self.num_classes


@dataclasses.dataclass(frozen=True)
class GoldenMetrics:
    """Predictions, labels and the references' metrics of them.

    Attributes:
      predictions: `[videos, classes]` scores.
      labels: `[videos, classes]` booleans.
      expected: The metrics, `losses` by name, and `top_k`.
    """

    predictions: np.ndarray
    labels: np.ndarray
    expected: Mapping[str, Any]


def load_golden_model(name: str) -> GoldenModel:
    """Loads a reference model from `name.npz`."""
    arrays = load_golden_arrays(name)
    meta = json.loads(str(arrays["meta"]))
    outputs = ("predictions", "embedding")
    return GoldenModel(
        inputs={key: arrays[key] for key in _INPUTS if key in arrays},
        weights={
            key.removeprefix(_WEIGHTS): array
            for key, array in arrays.items()
            if key.startswith(_WEIGHTS)
        },
        outputs={key: arrays[key] for key in outputs if key in arrays},
        flags={key: _parse(text) for key, text in meta["flags"].items()},
        num_classes=meta["num_classes"],
        frame_index=arrays.get("frame_index"),
    )


def load_golden_metrics(name: str) -> GoldenMetrics:
    """Loads the references' metrics from `name.npz`."""
    arrays = load_golden_arrays(name)
    expected = json.loads(str(arrays["expected"]))
    labels = np.unpackbits(
        arrays["labels"], axis=1, count=expected["num_classes"]
    )
    return GoldenMetrics(arrays["predictions"], labels.astype(bool), expected)


def load_golden_arrays(name: str) -> dict[str, np.ndarray]:
    """Returns all arrays of `name.npz`."""
    folder = Path(os.environ.get("GOLDEN_DIR", _DEFAULT_DIR))
    with np.load(folder / f"{name}.npz") as archive:
        return dict(archive)


def _parse(text: str) -> int | bool | str:
    if text in ("true", "false"):
        return text == "true"
    return int(text) if text.isdecimal() else text


def assign_weights(
    model: keras.Model, weights: Mapping[str, np.ndarray]
) -> None:
    """Gives a built model all the weights of its reference.

    Raises:
      AssertionError: A weight of the reference has no place.
    """
    # boliu61 puts some weights into a scope of their own.
    left = {
        re.sub(r"(\w+)/\1$", r"\1", name.replace("/conv2/", "/")): array
        for name, array in weights.items()
    }
    if isinstance(model, LstmModel):
        scope = "RNN/rnn" if any(n.startswith("RNN/") for n in left) else "rnn"
        _assign_lstms(model.recurrences, left, scope)
    elif isinstance(model, GruModel):
        _assign_grus(model.recurrences, left)
    elif isinstance(model, HierarchicalLstm):
        _assign_lstms(model.lower.lstms, left, "RNN_L1/rnn")
        _assign_lstms(model.upper.lstms, left, "RNN_L2/rnn")
    elif isinstance(model, DbofModel):
        _assign_norm(model.input_norm, left, "input_bn")
        model.pools[0].kernel.assign(left.pop("cluster_weights"))
        _assign_norm(model.pools[0].norm, left, "cluster_bn")
        _assign_hidden(model, left)
    elif isinstance(model, LateFusion):
        _assign_late_fusion(model, left)
    elif isinstance(model, NeXtVladModel):
        _assign_nextvlad(model, left)
    _assign_classifier(model.classifier, left)
    assert not left, f"weights of the reference without a place: {list(left)}"


def _assign_lstms(lstms, left, prefix):
    """Loads a stack of LSTM cells.

    The reference's kernel has the rows of input and state in one, its columns
    are the gates i, j, f, o, and it adds 1 to f at run time; Keras has the
    gates i, f, j, o and adds nothing.
    """
    for index, lstm in enumerate(lstms):
        cell = f"{prefix}/multi_rnn_cell/cell_{index}/basic_lstm_cell"
        i, j, f, o = np.split(left.pop(f"{cell}/kernel"), 4, axis=1)
        kernel = np.concatenate([i, f, j, o], axis=1)
        i, j, f, o = np.split(left.pop(f"{cell}/bias"), 4)
        bias = np.concatenate([i, f + 1, j, o])
        lstm.set_weights([kernel[: -lstm.units], kernel[-lstm.units :], bias])


def _assign_grus(grus, left):
    """Loads a stack of GRU cells.

    The reference's gates are r then u, its rows input then state; Keras has
    the gates u, r and the candidate.
    """
    for index, gru in enumerate(grus):
        cell = f"RNN/rnn/multi_rnn_cell/cell_{index}/gru_cell"
        reset, update = np.split(left.pop(f"{cell}/gates/kernel"), 2, axis=1)
        candidate = left.pop(f"{cell}/candidate/kernel")
        kernel = np.concatenate([update, reset, candidate], axis=1)
        reset, update = np.split(left.pop(f"{cell}/gates/bias"), 2)
        bias = [update, reset, left.pop(f"{cell}/candidate/bias")]
        gru.set_weights(
            [
                kernel[: -gru.units],
                kernel[-gru.units :],
                np.concatenate(bias),
            ]
        )


def _assign_late_fusion(model, left):
    if model.input_norm.enabled:
        _assign_norm(model.input_norm, left, "input_bn")
    kind = type(model).__name__.removeprefix("Soft").removeprefix("Gated")
    kind = {"NetVladModel": "VLAD", "NetFvModel": "FV"}.get(kind, "DBOF")
    scopes = (f"video_{kind}", f"audio_{kind}")
    for pool, scope in zip(model.pools, scopes, strict=True):
        if isinstance(pool, MeanMaxDbof):
            pool.kernel.assign(left.pop(f"{scope}/cluster_weights"))
            _assign_norm(pool.norm, left, f"{scope}/cluster_bn")
            continue
        _assign_norm(pool.assignment.norm, left, f"{scope}/cluster_bn")
        if f"{scope}/gate_weights" in left:
            pool.gates.assign(left.pop(f"{scope}/gate_weights")[0].T)
        for theirs, ours in _POOL_WEIGHTS.items():
            if f"{scope}/{theirs}" in left:
                variable = _reach(pool, ours)
                weight = left.pop(f"{scope}/{theirs}")
                variable.assign(weight.reshape(variable.shape))
        if f"{scope}/cluster_bn_2/gamma" in left:
            _assign_norm(pool.gates.norm, left, f"{scope}/cluster_bn_2")
    _assign_hidden(model, left)
    if model.context_gating is not None:
        name = "gating_weights" + "_2" * ("gating_weights_2" in left)
        model.context_gating.kernel.assign(left.pop(name))
        _assign_norm(model.context_gating.norm, left, "gating_bn")


def _assign_hidden(model, left):
    if model.hidden2 is not None:
        model.hidden2.kernel.assign(left.pop("hidden2_weights"))
        model.hidden2.bias.assign(left.pop("hidden2_biases"))
    if model.hidden is None:
        return
    model.hidden.kernel.assign(left.pop("hidden1_weights"))
    if model.hidden.norm is not None:
        _assign_norm(model.hidden.norm, left, "hidden1_bn")
    else:
        model.hidden.bias.assign(left.pop("hidden1_biases"))


def _assign_nextvlad(model, left):
    for vlad, name in zip(
        model.vlads, ("video_VLAD", "audio_VLAD"), strict=True
    ):
        _assign_dense(vlad.expand, left, f"{name}/fully_connected")
        _assign_dense(vlad.attention, left, f"{name}/fully_connected_1")
        vlad.assignment_kernel.assign(left.pop(f"{name}/cluster_weights"))
        _assign_norm(vlad.assignment_norm, left, f"{name}/cluster_bn")
        vlad.centres.assign(left.pop(f"{name}/cluster_weights2")[0].T)
        _assign_norm(vlad.norm, left, f"{name}/vlad_bn")
    model.hidden.set_weights([left.pop("hidden1_weights")])
    _assign_norm(model.hidden_norm, left, "hidden1_bn")
    model.gating.squeeze_kernel.assign(left.pop("gating_weights_1"))
    _assign_norm(model.gating.norm, left, "gating_bn")
    model.gating.excite_kernel.assign(left.pop("gating_weights_2"))


def _assign_classifier(classifier, left):
    """Loads a logistic classifier or a mixture of experts, with its gatings."""
    if "fully_connected/weights" in left:
        _assign_dense(classifier, left, "fully_connected")
        return
    prefix = "classifier/" if "classifier/gates/weights" in left else ""
    if "gates1/weights" in left:
        classifier.reduction_kernel.assign(left.pop("gates1/weights"))
        classifier.gates_kernel.assign(left.pop("gates2/weights"))
    else:
        gates = left.pop(f"{prefix}gates/weights")
        classifier.gates_kernel.assign(gates)
    experts = left.pop(f"{prefix}experts/weights")
    classifier.experts_kernel.assign(experts)
    classifier.experts_bias.assign(left.pop(f"{prefix}experts/biases"))
    if classifier.prob_gating is not None:
        classifier.prob_gating.kernel.assign(left.pop("gating_prob_weights"))
        _assign_norm(classifier.prob_gating.norm, left, "gating_prob_bn")


def _assign_dense(dense, left, name):
    dense.set_weights([left.pop(f"{name}/weights"), left.pop(f"{name}/biases")])


def _assign_norm(norm, left, name):
    parts = ("gamma", "beta", "moving_mean", "moving_variance")
    norm.set_weights([left.pop(f"{name}/{part}") for part in parts])


def _reach(layer, path):
    for name in path.split("."):
        layer = getattr(layer, name)
    return layer
