"""Checks of values: errors name the argument."""

import re

import pytest

from distill.models.argument_checks import (
    check_at_least,
    check_choice,
    parse_sizes,
)


def test_sizes_at_the_minimum_or_above_pass():
    check_at_least(1, clusters=1, hidden=7)
    check_at_least(0, sample_frames=0)


def test_the_first_size_too_small_is_named():
    message = r"^hidden must be 1 or more, got 0\.$"
    with pytest.raises(ValueError, match=message):
        check_at_least(1, clusters=1, hidden=0, other=-1)


def test_a_choice_is_handed_back():
    assert check_choice("colour", "red", ["red", "green"]) == "red"


@pytest.mark.parametrize(
    ("name", "hint"),
    [("xyzzy", ""), ("Gren", " Did you mean 'green'?")],
)
def test_an_unknown_choice_lists_all_and_names_the_nearest(name, hint):
    message = f"Unknown colour {name!r}.{hint} Choices: green, red."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_choice("colour", name, ["red", "green"])


@pytest.mark.parametrize(
    ("text", "sizes"),
    [("512", [512]), ("512,1024", [512, 1024]), (" 3 , 2,1 ", [3, 2, 1])],
)
def test_sizes_are_separated_by_commas(text, sizes):
    assert parse_sizes("tower_sizes", text) == sizes


@pytest.mark.parametrize("text", ["", "512,", "0", "-1", "1.5", "512;1024"])
def test_other_text_is_an_error_that_names_the_argument(text):
    message = f"^tower_sizes must be whole numbers .* got {text!r}\\.$"
    with pytest.raises(ValueError, match=message):
        parse_sizes("tower_sizes", text)
