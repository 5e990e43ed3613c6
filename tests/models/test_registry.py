"""Models by name: choices, defaults and given values."""

import re

import pytest

from distill.models import registry
from distill.models.configs import ModelConfig


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [
        ("HierarchicalLstmModl", "HierarchicalLstmModel"),
        ("MoEModel", "MoeModel"),
        ("logisticmodel", "LogisticModel"),
        ("netvladmodellf", "NetVLADModelLF"),
        ("moe", "MoeModel"),
        ("netvlad", "NetVLADModelLF"),
    ],
)
def test_an_unknown_model_lists_the_choices_and_names_the_nearest(
    wrong, nearest
):
    message = f"Unknown model '{wrong}'. Did you mean '{nearest}'?"
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        registry.get_entry(wrong)
    assert ", ".join(sorted(registry.MODELS)) in str(error.value)


def test_an_unknown_classifier_lists_the_choices():
    given = {"video_level_classifier_model": "MoeModle"}
    message = (
        "Unknown video_level_classifier_model 'MoeModle'. Did you mean "
        "'MoeModel'? Choices: DoubleHiddenLayerModel, LogisticModel, MoeModel, "
        "SingleHiddenLayerModel."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        registry.resolve_arguments("HierarchicalLstmModel", given)


def test_an_unknown_argument_lists_the_arguments():
    message = "Unknown model argument 'lstm_cell'. Did you mean 'lstm_cells'?"
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        registry.resolve_arguments("MoeModel", {"lstm_cell": 5})
    assert "moe_num_mixtures" in str(error.value)


def test_the_hierarchical_lstm_s_defaults_are_the_released_teacher_s():
    values = registry.resolve_arguments("HierarchicalLstmModel", {})
    expected = {
        "lstm_cells": 1024,
        "lstm_layers": 2,
        "num_inputs_to_lstm": 20,
        "video_level_classifier_model": "MoeModel",
        "moe_num_mixtures": 2,
    }
    assert {key: values[key] for key in expected} == expected


def test_given_arguments_replace_defaults_and_those_of_others_are_left_out():
    given = {"moe_num_mixtures": 5, "lstm_cells": 8, "logistic_l2": 1.0}
    assert registry.resolve_arguments("MoeModel", given) == {
        "moe_num_mixtures": 5,
        "moe_l2": 1e-8,
        "moe_prob_gating": False,
        "moe_prob_gating_remove_diag": False,
        "moe_prob_gating_input": "prob",
        "moe_low_rank_gating": 0,
        "batch_norm_momentum": 0.99,
        "batch_norm_epsilon": 0.001,
    }


def test_the_chosen_classifier_brings_its_arguments():
    given = {
        "video_level_classifier_model": "LogisticModel",
        "logistic_l2": 0.5,
        "moe_l2": 0.25,
    }
    values = registry.resolve_arguments("HierarchicalLstmModel", given)
    assert values["video_level_classifier_model"] == "LogisticModel"
    assert values["logistic_l2"] == 0.5
    assert "moe_l2" not in values


@pytest.mark.parametrize("value", [False, 0, 0.0])
def test_an_explicit_false_or_zero_is_kept(monkeypatch, value):
    class OnByDefault(ModelConfig):
        input_batch_norm: bool = True

    entry = registry.ModelEntry(
        "nowhere:Nothing", OnByDefault, classifier="MoeModel"
    )
    monkeypatch.setitem(registry.MODELS, "OnByDefaultModel", entry)
    values = registry.resolve_arguments(
        "OnByDefaultModel", {"input_batch_norm": value}
    )
    assert values["input_batch_norm"] is value


def test_sizes_and_classifier_reach_the_model():
    model = registry.build_model(
        "HierarchicalLstmModel",
        arguments={
            "lstm_cells": 5,
            "num_inputs_to_lstm": 2,
            "dropout": 0.25,
            "video_level_classifier_model": "LogisticModel",
            "logistic_l2": 0.5,
        },
        num_classes=4,
        feature_sizes=(2,),
        max_frames=6,
    )
    assert (model.config.cells, model.config.num_blocks) == (5, 2)
    assert (model.config.dropout, model.max_frames) == (0.25, 6)
    assert type(model.classifier).__name__ == "Logistic"
    assert model.classifier.config.l2 == 0.5
