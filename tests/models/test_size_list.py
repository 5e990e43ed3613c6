"""Lists of sizes given as text."""

import pytest

from distill.models.size_list import parse_sizes, size_per_feature


@pytest.mark.parametrize(
    ("text", "sizes"),
    [("512", [512]), ("512,1024", [512, 1024]), (" 3 , 2,1 ", [3, 2, 1])],
)
def test_sizes_are_separated_by_commas(text, sizes):
    assert parse_sizes("tower_sizes", text) == sizes


@pytest.mark.parametrize("text", ["", "512,", "0", "-1", "1.5", "512;1024"])
def test_other_text_is_an_error_that_names_the_argument(text):
    with pytest.raises(ValueError) as error:
        parse_sizes("tower_sizes", text)
    message = str(error.value)
    assert message.startswith("tower_sizes must be whole numbers of 1 or more")
    assert message.endswith(f"got {text!r}.")


@pytest.mark.parametrize(
    ("num_features", "expected"),
    [(1, [8]), (2, [8, 4]), (4, [8, 4, 4, 4])],
)
def test_the_last_size_serves_all_further_features(num_features, expected):
    assert size_per_feature([8, 4], num_features) == expected
