"""Label losses against the references' values, in `losses_ff*.npz`."""

import functools
import json

import numpy as np
import pytest

from distill import losses
from tests.golden import load_golden_arrays

TRAINING_VIDEOS = 6_308_488


class GoldenLosses:
    """Predictions, labels and expected losses of a file and its set."""

    def __init__(self, name, suffix=""):
        self.arrays = load_golden_arrays(name)
        expected = json.loads(str(self.arrays["expected"]))
        self.expected = expected[suffix[1:]] if suffix else expected
        self.predictions = self.arrays[f"predictions{suffix}"]
        self.labels = np.unpackbits(
            self.arrays[f"labels{suffix}"],
            axis=1,
            count=expected["num_classes"],
        ).astype(np.float32)

    def check(self, loss, name):
        found = loss(self.labels, self.predictions)
        expected = self.expected[name]
        if isinstance(expected, dict):
            expected = expected["sum"]
        assert float(np.mean(found)) == pytest.approx(expected, rel=1e-5)

    def imbalance(self):
        counts = self.arrays["class_counts"]
        weights = 1 / np.sqrt(counts / TRAINING_VIDEOS)
        return functools.partial(
            losses.cross_entropy, positive_weights=weights.astype(np.float32)
        )


@pytest.mark.parametrize("suffix", ["_a", "_b"])
def test_losses_are_the_references(suffix):
    golden = GoldenLosses("losses_ff", suffix)
    checked = set()
    for name in golden.expected:
        _, loss = name.split("/")
        kind, _, option = loss.partition(" ")
        if kind == "CrossEntropyLossClassImbalance":
            function = golden.imbalance()
        elif option == "label_weights":
            weights = golden.arrays["label_weights"]
            function = functools.partial(losses.cross_entropy, weights=weights)
        elif option:
            key, value = option.split("=")
            key = {"alpha": "alpha", "b": "margin"}[key]
            function = functools.partial(
                losses.LABEL_LOSSES[kind], **{key: float(value)}
            )
        else:
            function = losses.LABEL_LOSSES[kind]
        golden.check(function, name)
        checked.add(kind)
    assert checked >= set(losses.LABEL_LOSSES)


def test_losses_of_the_published_size_are_the_reference_s():
    golden = GoldenLosses("losses_ff_full_size")
    for name in ("PWELoss", "CrossEntropyLossTop50", "NewLoss"):
        golden.check(losses.LABEL_LOSSES[name], name)
    golden.check(golden.imbalance(), "CrossEntropyLossClassImbalance")
