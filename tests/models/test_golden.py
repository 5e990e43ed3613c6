"""Every model with a golden value against its reference's predictions."""

import numpy as np
import pytest

from distill.models import registry
from tests.golden import assign_weights, load_golden_model

# The reference pools over all frames given.
WHOLE = {"mask_padding": False}
WHOLE_STATE = {"recurrent_pooling": "whole_state"}
# Nine frames, in the order in which they are drawn.
DRAWN = {
    "sample_frames": 9,
    "sample_sorted": False,
    "sample_at_evaluation": True,
}
BOLIU = WHOLE | {
    "netvlad_input_batch_norm": False,
    "netvlad_relu": True,
    "netvlad_hidden2_factor": 2,
}
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
    "moe_prob_gating_input": ("MoeModel", {"moe_prob_gating_input": "input"}),
    "lstm": ("LstmModel", {}),
    "lstm_willow": ("LstmModel", WHOLE_STATE),
    "lstm_willow_backward": (
        "LstmModel",
        WHOLE_STATE | {"reversed_time": True},
    ),
    "lstm_willow_random": ("LstmModel", WHOLE_STATE | DRAWN),
    "gru": ("GruModel", {}),
    "gru_backward": ("GruModel", {"reversed_time": True}),
    "gru_random": ("GruModel", DRAWN),
    "hierarchical_lstm_teacher": ("HierarchicalLstmModel", {}),
    "hierarchical_lstm_student": ("HierarchicalLstmModel", {}),
    "dbof_max": ("DbofModel", WHOLE | {"dbof_activation": "sigmoid"}),
    "dbof_lf": ("DbofModelLF", WHOLE | {"dbof_lf_activation": "none"}),
    # As published, glu doubles the clusters and does nothing else.
    "dbof_lf_glu": (
        "DbofModelLF",
        WHOLE | {"dbof_lf_activation": "none", "dbof_cluster_size": 32},
    ),
    "dbof_lf_relu_intended": ("DbofModelLF", WHOLE),
    "dbof_lf_glu_intended": (
        "DbofModelLF",
        WHOLE | {"dbof_lf_activation": "glu"},
    ),
    "soft_dbof": ("SoftDbofModelLF", WHOLE),
    "soft_dbof_max": ("SoftDbofModelLF", WHOLE),
    "soft_dbof_no_fc": ("SoftDbofModelLF", WHOLE),
    "gated_dbof": ("GatedDbofModelLF", WHOLE),
    "gated_dbof_relu": ("GatedDbofModelLF", WHOLE),
    "gated_dbof_max": ("GatedDbofModelLF", WHOLE),
    "gated_dbof_no_fc": ("GatedDbofModelLF", WHOLE),
    "netvlad": ("NetVLADModelLF", WHOLE),
    "netvlad_boliu": ("NetVLADModelLF", BOLIU),
    "netvlad_boliu_no_gating": ("NetVLADModelLF", BOLIU),
    "netvlad_boliu_lightvlad": ("NetVLADModelLF", BOLIU),
    "netvlad_boliu_vlagd": ("NetVLADModelLF", BOLIU),
    "netvlad_remove_diag": (
        "NetVLADModelLF",
        WHOLE | {"moe_prob_gating_remove_diag": True},
    ),
    "netvlagd": ("NetVLADModelLF", WHOLE),
    "netrvlad": ("NetVLADModelLF", WHOLE),
    "netvlad_relu_nogating": ("NetVLADModelLF", WHOLE),
    "netfv": ("NetFVModelLF", WHOLE),
    "netfv_coupled": ("NetFVModelLF", WHOLE),
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
def test_golden_outputs_are_reproduced(name, monkeypatch):
    golden = load_golden_model(name)
    model = build(golden, *CASES[name])
    assign_weights(model, golden.weights)
    if golden.frame_index is not None:
        monkeypatch.setattr(
            model.sampler, "_draw_frames", lambda _: golden.frame_index
        )
    outputs = model(golden.inputs)
    assert "predictions" in golden.outputs
    for key, expected in golden.outputs.items():
        np.testing.assert_allclose(
            outputs[key], expected, rtol=0, atol=1e-5, err_msg=key
        )
