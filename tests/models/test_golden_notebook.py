"""The networks of the Label_YT_Videos notebook against its predictions."""

import numpy as np
import pytest

from distill.models import registry
from tests.golden import load_golden_model

AUDIO, VISUAL = "1", "2"


class Weights:
    """The weights of a golden model, each of which is given away once."""

    def __init__(self, arrays):
        self.arrays = dict(arrays)

    def width(self, name):
        return self.arrays[f"{name}/bias"].shape[0]

    def cells(self, name):
        return self.arrays[f"{name}/recurrent_kernel"].shape[0]

    def tower(self, stem, feature):
        """Returns the names of a feature's five tower layers."""
        return [f"{stem}{feature}{layer}" for layer in range(1, 6)]

    def give_dense(self, layer, name, blocks=None):
        """Loads a dense layer whose inputs are of swapped features.

        The notebook joins audio, then visual; blocks of rows are of audio,
        visual, and perhaps of the streams of both.
        """
        kernel = self.arrays.pop(f"{name}/kernel")
        if blocks:
            parts = np.split(kernel, np.cumsum(blocks)[:-1])
            order = [1, 0, 3, 2][: len(blocks)]
            kernel = np.concatenate([parts[index] for index in order])
        layer.set_weights([kernel, self.arrays.pop(f"{name}/bias")])

    def give_lstm(self, layer, name):
        parts = ("kernel", "recurrent_kernel", "bias")
        layer.set_weights([self.arrays.pop(f"{name}/{part}") for part in parts])

    def give_classifier(self, classifier, name):
        classifier.kernel.assign(self.arrays.pop(f"{name}/kernel"))
        classifier.bias.assign(self.arrays.pop(f"{name}/bias"))


def sizes(weights, *names):
    return ",".join(str(weights.width(name)) for name in names)


def build(golden, name, **arguments):
    model = registry.build_model(
        name,
        arguments=arguments | {"video_level_classifier_model": "LogisticModel"},
        num_classes=golden.num_classes,
        feature_sizes=(1024, 128),
        max_frames=12,
    )
    model(golden.inputs)
    return model


def load_streams(weights, model, tails):
    """Loads the streams; `tails` names their layers after the LSTMs."""
    for stream, end in zip(model.streams.readers, ("x2", "x1"), strict=True):
        weights.give_dense(stream.dense, f"fc_1_{end}")
        weights.give_lstm(stream.forward_lstm, f"lstm_1_{end}")
        weights.give_lstm(stream.backward_lstm, f"lstm_2_{end}")
        weights.give_dense(stream.output_dense, f"{tails}_{end}")


def stream_sizes(weights, output):
    return {
        "stream_input_size": weights.width("fc_1_x1"),
        "stream_cells": f"{weights.cells('lstm_1_x2')},"
        f"{weights.cells('lstm_1_x1')}",
        "stream_output_size": weights.width(output),
    }


def fully_connected(golden, weights):
    towers = weights.tower("nn_x_fc", VISUAL)
    model = build(
        golden,
        "FullyConnectedModel",
        tower_sizes=sizes(weights, *towers),
        hidden_sizes=sizes(weights, "nn_fc_3"),
    )
    blocks = [weights.width(towers[-1])] * 2
    for tower, feature in zip(
        model.towers.readers, (VISUAL, AUDIO), strict=True
    ):
        names = weights.tower("nn_x_fc", feature)
        for dense, name in zip(tower.denses, names, strict=True):
            weights.give_dense(dense, name)
    weights.give_dense(model.hidden.denses[0], "nn_fc_3", blocks)
    weights.give_classifier(model.classifier, "nn_output")
    return model


def bilstm(golden, weights):
    model = build(
        golden,
        "BiLstmModel",
        lstm_cells=weights.cells("lstm_1"),
        lstm_layers=4,
        hidden_size=weights.width("fc_2048"),
        lstm_gates=golden.flags["recurrent_activation"],
    )
    for index, layer in enumerate(model.recurrences, start=1):
        weights.give_dense(layer.dense, f"fc_{index}")
        weights.give_lstm(layer.lstm, f"lstm_{index}")
    weights.give_dense(model.hidden.denses[0], "fc_2048")
    weights.give_classifier(model.classifier, "output")
    return model


def stream_lstm(golden, weights):
    model = build(
        golden,
        "StreamLstmModel",
        hidden_sizes=sizes(weights, "fc_2", "fc_3"),
        lstm_gates=golden.flags["recurrent_activation"],
        **stream_sizes(weights, "stream_fc_3_x1"),
    )
    blocks = [weights.width("stream_fc_3_x1")] * 2
    load_streams(weights, model, "stream_fc_3")
    weights.give_dense(model.hidden.denses[0], "fc_2", blocks)
    weights.give_dense(model.hidden.denses[1], "fc_3")
    weights.give_classifier(model.classifier, "output")
    return model


def combined(golden, weights):
    name = "nn_stream_lstm"
    model = build(
        golden,
        "CombinedModel",
        tower_sizes=sizes(weights, *weights.tower("nn_fc_", VISUAL)),
        hidden_sizes=sizes(weights, f"{name}_fc_2", f"{name}_fc_3"),
        stream_head_size=weights.width("stream_fc_1"),
        lstm_gates=golden.flags["recurrent_activation"],
        **stream_sizes(weights, "fc_2_x1"),
    )
    load_streams(weights, model, "fc_2")
    for index, feature in enumerate((VISUAL, AUDIO)):
        tower = model.towers.readers[index]
        names = weights.tower("nn_fc_", feature)
        names.append(f"nn_output_{feature}")
        for dense, layer in zip(tower.denses, names, strict=True):
            weights.give_dense(dense, layer)
        head = model.streams.readers[index].head.denses
        weights.give_dense(head[0], f"stream_fc_{feature}")
        weights.give_dense(head[1], f"stream_output_{feature}")
    blocks = [golden.num_classes] * 4
    weights.give_dense(model.hidden.denses[0], f"{name}_fc_2", blocks)
    weights.give_dense(model.hidden.denses[1], f"{name}_fc_3")
    weights.give_classifier(model.classifier, f"{name}_output")
    return model


CASES = {
    "fully_connected_lv": fully_connected,
    "bilstm_lv": bilstm,
    "bilstm_lv_hard_sigmoid": bilstm,
    "stream_lstm_lv": stream_lstm,
    "stream_lstm_lv_hard_sigmoid": stream_lstm,
    "combined_lv": combined,
    "combined_lv_hard_sigmoid": combined,
}


@pytest.mark.parametrize("name", CASES)
def test_golden_outputs_are_reproduced(name):
    golden = load_golden_model(name)
    weights = Weights(golden.weights)
    model = CASES[name](golden, weights)
    assert not weights.arrays, "weights of the notebook without a place"
    np.testing.assert_allclose(
        model(golden.inputs)["predictions"],
        golden.outputs["predictions"],
        rtol=0,
        atol=1e-5,
    )
