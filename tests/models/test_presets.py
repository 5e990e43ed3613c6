"""Presets of sizes: small ones where the user gives none."""

import re

import pytest

from distill.models import registry
from distill.models.presets import SMALL_SIZES

SIZES = registry.argument_fields()


def numbers(value):
    """Returns the widths of a comma-separated text, or a number alone."""
    return [int(width) for width in str(value).split(",")]


@pytest.mark.parametrize("model", registry.MODELS)
@pytest.mark.parametrize("classifier", registry.CLASSIFIERS)
def test_sizes_of_small_are_at_most_the_paper_s(model, classifier):
    given = {"video_level_classifier_model": classifier}
    small = registry.resolve_arguments(model, given, "small")
    paper = registry.resolve_arguments(model, given, "paper")
    assert small.keys() == paper.keys()
    changed = {name for name in small if small[name] != paper[name]}
    assert changed == SMALL_SIZES.keys() & paper.keys()
    for name in changed:
        assert type(small[name]) is SIZES[name].type
        if SIZES[name].type is bool:
            continue
        few, many = numbers(small[name]), numbers(paper[name])
        assert len(few) <= len(many)
        assert max(few) <= min(many)


def test_every_size_of_small_is_one_of_a_model():
    assert SMALL_SIZES.keys() <= SIZES.keys()


def test_given_sizes_win_over_a_preset():
    given = {"lstm_cells": 7, "video_level_classifier_model": "LogisticModel"}
    for preset in ("small", "paper"):
        found = registry.resolve_arguments("LstmModel", given, preset)
        assert found == found | given


def test_an_unknown_preset_lists_the_choices():
    message = "Unknown preset 'smal'. Did you mean 'small'? Choices: paper, sm"
    with pytest.raises(ValueError, match=re.escape(message)):
        registry.resolve_arguments("LstmModel", {}, "smal")
