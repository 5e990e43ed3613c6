"""MACs of every model: by hand, and as TensorFlow executes them.

Counted is every matrix product of one video; elementwise work is not.
"""

import math
from collections.abc import Callable, Mapping
from itertools import pairwise

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import op_callbacks

from distill.models import registry
from distill.models.keras_private import all_layers

SIZES = (7, 5, 3)
FRAME = 15
CLASSES = 11
MAX_FRAMES = 13
NUM_FRAMES = (1, 3, 6, 8, 13)
# Frames that fill blocks of 3. A last block that they do not fill is computed
# whole, but only its real frames are counted.
WHOLE_BLOCKS = (3, 6)
LOGISTIC = {"video_level_classifier_model": "LogisticModel"}
ENCODER = {"encoder_sizes": "9,7"}


def dense(*widths: int) -> int:
    """Returns the entries of the matrices from each width to the next."""
    return sum(rows * columns for rows, columns in pairwise(widths))


def moe(width: int) -> int:
    """Returns the count of 3 experts and their 3 + 1 gates a class."""
    return width * CLASSES * 3 + width * CLASSES * (3 + 1)


def lstm(width: int, cells: int) -> int:
    """Returns the count of a step: 3 gates and the candidate."""
    return 4 * (width * cells + cells * cells)


def gru(width: int, cells: int) -> int:
    """Returns the count of a step: 2 gates and the candidate."""
    return 3 * (width * cells + cells * cells)


def stream(width: int, cells: int) -> int:
    """Returns the count of a frame of one feature: dense, LSTMs both ways."""
    return dense(width, 9) + lstm(9, cells) + lstm(cells, cells)


def nextvlad(width: int, groups: int, clusters: int) -> int:
    """Returns the count of a frame of one feature, made 3 times wider."""
    expansion, attention = dense(width, 3 * width), dense(3 * width, groups)
    assignment = dense(3 * width, groups * clusters)
    sums = groups * clusters * (3 * width // groups)
    return expansion + attention + assignment + sums


# The second and third feature have fewer clusters than the first.
SOFT_DBOF = 7 * 17 + 5 * 2 + 3 * 2  # an eighth of 17
VLAD = 7 * 9 + 5 * 4 + 3 * 4  # half of 9
NEXTVLAD = nextvlad(7, 7, 9) + nextvlad(5, 3, 4) + nextvlad(3, 3, 4)
NEXTVLAD_POOLED = 9 * (21 // 7) + 4 * (15 // 3) + 4 * (9 // 3)
STREAMS = stream(7, 6) + stream(5, 4) + stream(3, 4)
OUTPUTS = dense(6, 2) + dense(4, 2) + dense(4, 2)
HEADS = 3 * dense(2, 8, CLASSES)
TOWERS = dense(7, 9, 17) + dense(5, 9, 17) + dense(3, 9, 17)

# Name, arguments, MACs of a video of n frames.
CASES: list[tuple[str, Mapping, Callable[[int], int]]] = [
    (
        "HierarchicalLstmModel",  # 5 blocks of 3 frames, states [c, h]
        {"lstm_cells": 5, "lstm_layers": 3, "num_inputs_to_lstm": 5},
        lambda n: (
            n * (lstm(15, 5) + 2 * lstm(5, 5))
            + math.ceil(n / 3) * (lstm(3 * 2 * 5, 5) + 2 * lstm(5, 5))
            + moe(3 * 2 * 5)
        ),
    ),
    (
        "HierarchicalLstmModel",  # every frame is a block
        {"lstm_cells": 5, "lstm_layers": 1, "num_inputs_to_lstm": 13}
        | {"input_batch_norm": True}
        | LOGISTIC,
        lambda n: n * (lstm(15, 5) + lstm(10, 5)) + dense(10, CLASSES),
    ),
    ("FrameLevelLogisticModel", {}, lambda n: dense(15, CLASSES)),
    (
        "PooledNetworkModel",
        {"hidden_sizes": "9,5"},
        lambda n: dense(2 * 15, 9, 5) + moe(5),
    ),
    (
        "DbofModel",  # it draws frames in training alone
        {"dbof_cluster_size": 17, "dbof_hidden_size": 9},
        lambda n: n * dense(15, 17) + dense(17, 9) + moe(9),
    ),
    (
        "DbofModel",
        {"dbof_cluster_size": 17, "dbof_hidden_size": 9, "sample_frames": 5}
        | {"sample_at_evaluation": True, "dbof_pooling_method": "average"},
        lambda n: 5 * dense(15, 17) + dense(17, 9) + moe(9),
    ),
    (
        "DbofModelLF",
        {"dbof_cluster_size": 17, "dbof_hidden_size": 9},
        lambda n: n * SOFT_DBOF + dense(2 * (17 + 2 + 2), 9) + moe(9),
    ),
    (
        "DbofModelLF",
        {"dbof_cluster_size": 17, "dbof_hidden_size": 9}
        | {"dbof_lf_activation": "glu"},
        lambda n: n * 2 * SOFT_DBOF + dense(2 * (17 + 2 + 2), 9) + moe(9),
    ),
    (
        "SoftDbofModelLF",  # the classifier reads the pooled frames
        {"dbof_cluster_size": 17, "fc_dimred": False},
        lambda n: n * SOFT_DBOF + moe(17 + 2 + 2),
    ),
    (
        "SoftDbofModelLF",
        {"dbof_cluster_size": 17, "dbof_hidden_size": 9},
        lambda n: n * SOFT_DBOF + dense(17 + 2 + 2, 9) + moe(9),
    ),
    (
        "SoftDbofModelLF",
        {"dbof_cluster_size": 17, "dbof_hidden_size": 9}
        | {"softdbof_maxpool": True, "dbof_relu": True},
        lambda n: n * SOFT_DBOF + dense(2 * (17 + 2 + 2), 9) + moe(9),
    ),
    (
        "GatedDbofModelLF",
        {"dbof_cluster_size": 17, "dbof_hidden_size": 9},
        lambda n: n * SOFT_DBOF + dense(17, 7, 17) + dense(21, 9) + moe(9),
    ),
    (
        "LstmModel",
        {"lstm_cells": 5, "lstm_layers": 3, "reversed_time": True},
        lambda n: n * (lstm(15, 5) + 2 * lstm(5, 5)) + moe(5),
    ),
    (
        "LstmModel",
        {"lstm_cells": 5, "lstm_layers": 1, "recurrent_pooling": "mean"}
        | {"sample_frames": 4, "sample_at_evaluation": True},
        lambda n: 4 * lstm(15, 5) + moe(5),
    ),
    (
        "GruModel",  # the states of all layers
        {"gru_cells": 5, "gru_layers": 3},
        lambda n: n * (gru(15, 5) + 2 * gru(5, 5)) + moe(3 * 5),
    ),
    (
        "GruModel",
        {"gru_cells": 5, "gru_layers": 2, "recurrent_pooling": "mean"},
        lambda n: n * (gru(15, 5) + gru(5, 5)) + moe(5),
    ),
    (
        "BiLstmModel",
        {"lstm_cells": 5, "lstm_layers": 3, "hidden_size": 9},
        lambda n: n * (dense(15, 5, 5, 5) + 3 * lstm(5, 5)) + 5 * 9 + moe(9),
    ),
    (
        "StreamLstmModel",
        {"stream_input_size": 9, "stream_cells": "6,4", "hidden_sizes": "13,8"}
        | {"stream_output_size": 2},
        lambda n: n * (STREAMS + OUTPUTS) + dense(3 * 2, 13, 8) + moe(8),
    ),
    (
        "StreamLstmModel",
        {"stream_input_size": 9, "stream_cells": "6,4", "hidden_sizes": "13,8"}
        | {"published_form": False},
        lambda n: n * STREAMS + dense(6 + 4 + 4, 13, 8) + moe(8),
    ),
    (
        "CombinedModel",  # towers and streams end in scores
        {"stream_input_size": 9, "stream_cells": "6,4", "hidden_sizes": "13,8"}
        | {"stream_output_size": 2, "stream_head_size": 8}
        | {"tower_sizes": "9,17"},
        lambda n: (
            n * (STREAMS + OUTPUTS)
            + HEADS
            + (TOWERS + 3 * dense(17, CLASSES))
            + dense(6 * CLASSES, 13, 8)
            + moe(8)
        ),
    ),
    (
        "CombinedModel",
        {"stream_input_size": 9, "stream_cells": "6,4", "hidden_sizes": "13,8"}
        | {"tower_sizes": "9,17", "batch_norm": True, "published_form": False},
        lambda n: (
            n * STREAMS + TOWERS + dense(3 * 17 + 6 + 4 + 4, 13, 8) + moe(8)
        ),
    ),
    (
        "NetVLADModelLF",  # assignments and sums, gates
        {"netvlad_cluster_size": 9, "netvlad_hidden_size": 17}
        | {"moe_prob_gating": True},
        lambda n: (
            n * 2 * VLAD + dense(VLAD, 17, 17) + moe(17) + CLASSES * CLASSES
        ),
    ),
    (
        "NetVLADModelLF",
        {"netvlad_cluster_size": 9, "netvlad_hidden_size": 17}
        | {"lightvlad": True, "gating": False, "netvlad_relu": True},
        lambda n: n * 2 * VLAD + dense(VLAD, 17) + moe(17),
    ),
    (
        "NetVLADModelLF",
        {"netvlad_cluster_size": 9, "netvlad_hidden_size": 17}
        | {"vlagd": True, "netvlad_hidden2_factor": 2},
        lambda n: n * 2 * VLAD + dense(VLAD, 17, 34, 34) + moe(34),
    ),
    (
        "NetFVModelLF",  # assignments and two sums
        {"fv_cluster_size": 9, "fv_hidden_size": 17},
        lambda n: n * 3 * VLAD + dense(2 * VLAD, 17, 17) + moe(17),
    ),
    (
        "NetFVModelLF",
        {"fv_cluster_size": 9, "fv_hidden_size": 17}
        | {"fv_couple_weights": True, "fv_add_batch_norm": False}
        | {"gating_remove_diag": True},
        lambda n: n * 3 * VLAD + dense(2 * VLAD, 17, 17) + moe(17),
    ),
    (
        "NeXtVLADModel",
        {"nextvlad_cluster_size": 9, "nextvlad_groups": 7}
        | {"nextvlad_expansion": 3, "nextvlad_hidden_size": 17}
        | {"gating_reduction": 5},
        lambda n: (
            n * NEXTVLAD + dense(NEXTVLAD_POOLED, 17, 17 // 5, 17) + moe(17)
        ),
    ),
    ("LogisticModel", {}, lambda n: dense(15, CLASSES)),
    ("MoeModel", {}, lambda n: moe(15)),
    (
        "MoeModel",
        {"moe_low_rank_gating": 4},
        lambda n: dense(15, 4, CLASSES * 4) + dense(15, CLASSES * 3),
    ),
    (
        "MoeModel",
        {"moe_low_rank_gating": 4}
        | {"moe_prob_gating": True, "moe_prob_gating_remove_diag": True},
        lambda n: (
            dense(15, 4, CLASSES * 4) + dense(15, CLASSES * 3) + CLASSES**2
        ),
    ),
    (
        "MoeModel",
        {"moe_prob_gating": True, "moe_prob_gating_input": "input"},
        lambda n: moe(15) + dense(15, CLASSES),
    ),
    (
        "SingleHiddenLayerModel",
        {"num_hidden_units": 9},
        lambda n: dense(15, 9, CLASSES),
    ),
    (
        "DoubleHiddenLayerModel",
        {"num_first_hidden_units": 13, "num_hidden_units": 9},
        lambda n: dense(15, 13, 9, CLASSES),
    ),
    (
        "LstmModel",  # an encoder reads every frame
        ENCODER | {"lstm_cells": 5, "lstm_layers": 1},
        lambda n: n * (dense(15, 9, 7) + lstm(7, 5)) + moe(5),
    ),
    ("MoeModel", ENCODER, lambda n: dense(15, 9, 7) + moe(7)),
    (
        "FullyConnectedModel",
        {"tower_sizes": "9,17", "hidden_sizes": "8,4"},
        lambda n: TOWERS + dense(3 * 17, 8, 4) + moe(4),
    ),
]


@pytest.fixture(scope="module", params=CASES, ids=[case[0] for case in CASES])
def case(request):
    """Returns a built model, its level and its hand count."""
    name, arguments, hand_count = request.param
    return build(name, arguments), registry.get_entry(name).level, hand_count


def build(name, arguments):
    """Returns a built model of the registry, with an encoder if given."""
    arguments = {"moe_num_mixtures": 3} | arguments
    encoder_sizes = arguments.pop("encoder_sizes", None)
    model = registry.build_model(
        name,
        arguments=arguments,
        num_classes=CLASSES,
        feature_sizes=(7,) if encoder_sizes else SIZES,
        max_frames=MAX_FRAMES,
    )
    if encoder_sizes:
        model = registry.add_encoder(model, encoder_sizes, True)
    if registry.get_entry(name).level == "video":
        model.build({"features": (None, FRAME)})
    else:
        frames = (None, MAX_FRAMES, FRAME)
        model.build({"frames": frames, "num_frames": (None,)})
    return model


def execute_and_count(model, inputs):
    """Returns the MACs of all matrix products that are executed."""
    counts = []

    def count(operation, operands, attributes, products, *_):
        operation = tf.compat.as_str(operation)
        if operation in ("MatMul", "BatchMatMulV2"):
            values = dict(zip(attributes[::2], attributes[1::2], strict=True))
            turned = values.get("transpose_a") or values.get("adj_x")
            inner = operands[0].shape[-2 if turned else -1]
            counts.append(inner * math.prod(products[0].shape))
        else:
            unknown = ("MatMul", "Einsum", "Conv", "RNN", "Call", "While")
            assert not any(part in operation for part in unknown), operation

    op_callbacks.add_op_callback(count)
    try:
        model(inputs)
    finally:
        op_callbacks.remove_op_callback(count)
    return sum(counts)


def test_every_model_of_the_registry_has_a_hand_count():
    missing = set(registry.MODELS) - {name for name, _, _ in CASES}
    assert not missing, f"add to CASES a hand count of {missing}"


def test_macs_are_those_counted_by_hand(case):
    model, _, hand_count = case
    found = [model.macs(num_frames) for num_frames in NUM_FRAMES]
    assert found == [hand_count(num_frames) for num_frames in NUM_FRAMES]


def test_tensorflow_executes_what_is_counted(case):
    model, level, hand_count = case
    for layer in all_layers(model):
        # In a loop Keras would run the first step twice, to learn its shapes.
        if isinstance(layer, keras.layers.RNN):
            layer.unroll = True
    for num_frames in WHOLE_BLOCKS:
        inputs = {"features": np.ones((1, FRAME), np.float32)}
        if level == "frame":
            frames = np.ones((1, num_frames, FRAME), np.float32)
            count = np.array([num_frames], np.int32)
            inputs = {"frames": frames, "num_frames": count}
        assert execute_and_count(model, inputs) == hand_count(num_frames)
