"""Errors about values name what the user set."""

import pytest

from distill.models.argument_checks import check_at_least, check_choice
from distill.models.configs import DropoutConfig


def test_sizes_at_the_minimum_or_above_pass():
    check_at_least(1, clusters=1, hidden=7)
    check_at_least(0, sample_frames=0)


def test_the_first_size_too_small_is_named():
    message = r"^hidden must be 1 or more, got 0\.$"
    with pytest.raises(ValueError, match=message):
        check_at_least(1, clusters=1, hidden=0, other=-1)


@pytest.mark.parametrize("value", [0, 0.5, 0.999])
def test_a_dropout_rate_from_0_to_below_1_passes(value):
    assert DropoutConfig(dropout=value).dropout == value


@pytest.mark.parametrize(
    ("value", "bound"),
    [
        (-0.1, "0 or more"),
        (float("nan"), "0 or more"),
        (1, "below 1"),
        (1.5, "below 1"),
    ],
)
def test_any_other_dropout_rate_is_an_error(value, bound):
    message = rf"^dropout must be {bound}, got {value}\.$"
    with pytest.raises(ValueError, match=message):
        DropoutConfig(dropout=value)


def test_a_choice_is_handed_back():
    assert check_choice("colour", "red", ["red", "green"]) == "red"


@pytest.mark.parametrize(
    ("name", "hint"),
    [("xyzzy", ""), ("Gren", " Did you mean 'green'?")],
)
def test_an_unknown_choice_lists_all_and_names_the_nearest(name, hint):
    with pytest.raises(ValueError) as error:
        check_choice("colour", name, ["red", "green"])
    assert str(error.value) == (
        f"Unknown colour {name!r}.{hint} Choices: green, red."
    )
