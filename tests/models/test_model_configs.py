"""Settings of models: their fields, bounds and choices."""

import dataclasses
import re

import pytest

from distill.models import registry
from distill.models.options import flag_name

ENTRIES = (*registry.MODELS.values(), *registry.CLASSIFIERS.values())
CONFIGS = {entry.config.__name__: entry.config for entry in ENTRIES}
FIELDS = [
    (config, field)
    for config in CONFIGS.values()
    for field in dataclasses.fields(config)
]


def fields_with(key):
    return pytest.mark.parametrize(
        ("config", "field"),
        [pair for pair in FIELDS if pair[1].metadata[key] not in (None, ())],
        ids=lambda value: getattr(value, "__name__", None) or value.name,
    )


def test_a_flag_has_one_type_and_help_in_all_models():
    shared = registry.argument_fields()
    assert list(shared) == sorted(shared)
    for _, field in FIELDS:
        stated = shared[flag_name(field)]
        assert type(field.default) is field.type is stated.type
        assert field.metadata == stated.metadata
        assert field.metadata["help"]


def test_the_classifiers_are_the_choices_of_their_flag():
    field = registry.argument_fields()["video_level_classifier_model"]
    assert field.default == "MoeModel"
    assert field.metadata["choices"] == tuple(registry.CLASSIFIERS)


@fields_with("minimum")
def test_a_value_below_the_minimum_is_named_by_its_flag(config, field):
    minimum, flag = field.metadata["minimum"], flag_name(field)
    assert getattr(config(**{field.name: minimum}), field.name) == minimum
    for value in (minimum - 1, float("nan")):
        message = f"^{flag} must be {minimum} or more, got {value}\\.$"
        with pytest.raises(ValueError, match=message):
            config(**{field.name: value})


@fields_with("below")
def test_a_dropout_rate_and_a_momentum_are_below_one(config, field):
    assert "dropout" in field.name or field.name == "batch_norm_momentum"
    config(**{field.name: 0.999})
    for value in (1, 1.5):
        message = f"^{flag_name(field)} must be below 1, got {value}\\.$"
        with pytest.raises(ValueError, match=message):
            config(**{field.name: value})


@fields_with("choices")
def test_an_unknown_choice_lists_the_others(config, field):
    listed = re.escape(", ".join(sorted(field.metadata["choices"])))
    message = f"^Unknown {flag_name(field)} 'sum'\\..* Choices: {listed}\\.$"
    with pytest.raises(ValueError, match=message):
        config(**{field.name: "sum"})


def test_sizes_and_dropout_rates_are_bounded():
    """The least value of a size is given wherever a field is a number."""
    unbounded = {
        flag_name(field)
        for _, field in FIELDS
        if field.type in (int, float) and field.metadata["minimum"] is None
    }
    assert unbounded == {
        "fv_coupling_factor",
        "hidden_layer_bias_l2",
        "hidden_layer_l2",
        "logistic_l2",
        "moe_l2",
    }
