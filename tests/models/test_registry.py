"""Models by name: choices, defaults, what is given over them."""

import dataclasses
import subprocess
import sys

import pytest
import tensorflow as tf

from distill.models import registry
from distill.models.configs import ModelConfig
from distill.models.options import flag_name


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
    with pytest.raises(ValueError) as error:
        registry.get_entry(wrong)
    message = str(error.value)
    assert f"Unknown model '{wrong}'. Did you mean '{nearest}'?" in message
    assert ", ".join(sorted(registry.MODELS)) in message


def test_an_unknown_classifier_lists_the_choices():
    given = {"video_level_classifier_model": "MoeModle"}
    with pytest.raises(ValueError) as error:
        registry.resolve_arguments("HierarchicalLstmModel", given)
    message = str(error.value)
    assert "Unknown video_level_classifier_model 'MoeModle'." in message
    assert "Did you mean 'MoeModel'?" in message
    assert ", ".join(sorted(registry.CLASSIFIERS)) in message


def test_an_unknown_argument_lists_the_arguments():
    with pytest.raises(ValueError) as error:
        registry.resolve_arguments("MoeModel", {"lstm_cell": 5})
    message = str(error.value)
    assert (
        "Unknown model argument 'lstm_cell'. Did you mean 'lstm_cells'?"
        in message
    )
    assert "moe_num_mixtures" in message


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
        "moe_low_rank_gating": 0,
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
    @dataclasses.dataclass(frozen=True)
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


def test_defaults_are_not_changed_by_what_is_given():
    given = {"lstm_cells": 7, "moe_l2": 0.5}
    registry.resolve_arguments("HierarchicalLstmModel", given)
    values = registry.resolve_arguments("HierarchicalLstmModel", {})
    assert values["lstm_cells"] == 1024 and values["moe_l2"] == 1e-8


@pytest.mark.parametrize("name", registry.MODELS)
def test_every_model_builds_from_its_defaults(name):
    inputs = {
        "frame": {"frames": (None, 300, 1152), "num_frames": (None,)},
        "video": {"features": (None, 1152)},
    }
    with tf.Graph().as_default():
        model = registry.build_model(
            name,
            arguments={},
            num_classes=3862,
            feature_sizes=(1024, 128),
            max_frames=300,
            model_name="student",
        )
        model.build(inputs[registry.get_entry(name).level])
    assert model.name == "student"
    assert model.macs(300) > 0
    assert model.classifier.num_classes == 3862


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
    assert (model.lstm_cells, model.num_inputs_to_lstm) == (5, 2)
    assert (model.dropout, model.max_frames) == (0.25, 6)
    assert type(model.classifier).__name__ == "Logistic"
    assert model.classifier.logistic_l2 == 0.5


def test_a_flag_has_one_type_and_help_in_all_models():
    shared = registry.argument_fields()
    assert list(shared) == sorted(shared)
    entries = (*registry.MODELS.values(), *registry.CLASSIFIERS.values())
    for entry in entries:
        for field in dataclasses.fields(entry.config):
            stated = shared[flag_name(field)]
            assert type(field.default) is field.type is stated.type
            assert field.metadata == stated.metadata
            assert field.metadata["help"]


def test_the_classifiers_are_the_choices_of_their_flag():
    field = registry.argument_fields()["video_level_classifier_model"]
    assert field.default == "MoeModel"
    assert field.metadata["choices"] == tuple(registry.CLASSIFIERS)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("DbofModel", {"dbof_activation": "tanh"}, "relu6, sigmoid"),
        ("DbofModel", {"dbof_pooling_method": "sum"}, "average, max"),
        ("LstmModel", {"recurrent_pooling": "max"}, "mean, state"),
        ("NetVLADModelLF", {"netvlad_cluster_size": 0}, "must be 1 or more"),
        ("GruModel", {"dropout": 1.0}, "must be below 1, got 1.0"),
        ("MoeModel", {"moe_low_rank_gating": -1}, "must be 0 or more"),
    ],
)
def test_a_value_out_of_range_is_named_by_its_flag(name, arguments, message):
    entry = registry.get_entry(name)
    if name == "MoeModel":
        entry = registry.CLASSIFIERS[name]
    (flag,) = arguments
    with pytest.raises(ValueError, match=f"{flag}.*{message}"):
        entry.config.from_arguments(arguments)


def test_importing_the_registry_imports_no_keras():
    program = (
        "import sys, distill.models.registry; "
        "print(sorted({'keras', 'tensorflow', 'numpy'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == "[]"
