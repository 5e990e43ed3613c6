"""Errors about sizes name what the user set."""

import pytest

from models.size_checks import check_at_least


def test_sizes_at_the_minimum_or_above_pass():
    check_at_least(1, clusters=1, hidden=7)
    check_at_least(0, sample_frames=0)


def test_the_first_size_too_small_is_named():
    message = r"^hidden must be 1 or more, got 0\.$"
    with pytest.raises(ValueError, match=message):
        check_at_least(1, clusters=1, hidden=0, other=-1)
