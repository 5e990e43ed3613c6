"""Every model with a golden value against its reference's predictions."""

import numpy as np
import pytest

from distill.models import registry
from tests.golden import assign_weights, load_golden_model

# The reference pools over all frames given.
WHOLE = {"mask_padding": False}
CASES = {
    "logistic": ("LogisticModel", {}),
    "moe": ("MoeModel", {}),
    "moe_prob_gating": ("MoeModel", {}),
    "moe_prob_gating_remove_diag": (
        "MoeModel",
        {"moe_prob_gating_remove_diag": True},
    ),
    "moe_low_rank_gating": ("MoeModel", {}),
    "frame_level_logistic": ("FrameLevelLogisticModel", {}),
    "lstm": ("LstmModel", {}),
    "gru": ("GruModel", {}),
    "hierarchical_lstm_teacher": ("HierarchicalLstmModel", {}),
    "hierarchical_lstm_student": ("HierarchicalLstmModel", {}),
    "dbof_max": ("DbofModel", WHOLE | {"dbof_activation": "sigmoid"}),
    "soft_dbof": ("SoftDbofModelLF", WHOLE),
    "gated_dbof": ("GatedDbofModelLF", WHOLE),
    "netvlad": ("NetVLADModelLF", WHOLE),
    "netrvlad": ("NetVLADModelLF", WHOLE),
    "netvlad_relu_nogating": ("NetVLADModelLF", WHOLE),
    "netfv": ("NetFVModelLF", WHOLE),
    "nextvlad": (
        "NeXtVLADModel",
        {"nextvlad_groups": 4, "nextvlad_expansion": 1, "gating_reduction": 2},
    ),
}


def build(golden, name, arguments):
    """Returns a model of the reference's sizes, built and called once."""
    known = registry.argument_fields()
    flags = {key: golden.flags[key] for key in golden.flags if key in known}
    if registry.get_entry(name).classifier != "LogisticModel":
        flags["moe_num_mixtures"] = golden.num_mixtures
    shape = golden.inputs.get("frames", golden.inputs.get("features")).shape
    model = registry.build_model(
        name,
        arguments=flags | arguments,
        num_classes=golden.num_classes,
        feature_sizes=(1024, 128) if shape[-1] == 1152 else shape[-1:],
        max_frames=shape[1],
    )
    model(golden.inputs)
    return model


@pytest.mark.parametrize("name", CASES)
def test_golden_outputs_are_reproduced(name):
    golden = load_golden_model(name)
    model = build(golden, *CASES[name])
    assign_weights(model, golden.weights)
    outputs = model(golden.inputs)
    assert "predictions" in golden.outputs
    for key, expected in golden.outputs.items():
        np.testing.assert_allclose(
            outputs[key], expected, rtol=0, atol=1e-5, err_msg=key
        )
