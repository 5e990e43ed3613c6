"""The file of the classes' weights."""

import re

import numpy as np
import pytest

from distill.training.class_weights import read_class_weights


def test_a_file_holds_a_weight_a_line(tmp_path):
    path = tmp_path / "weights.txt"
    path.write_text("1\n 0.5\n2e1\n\n")
    found = read_class_weights(path, 3)
    assert found.dtype == np.float32
    assert found.tolist() == [1, 0.5, 20]


NUMBER = "a class's weight must be a positive number, got"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\n2\n", "{path} has 2 lines; it must hold one weight for each of"),
        ("1\n2\n3\n4\n", "{path} has 4 lines; it must hold one weight for"),
        ("", "{path} has 0 lines"),
        ("1\nrock\n2\n", f"{{path}}, line 2: {NUMBER} 'rock'"),
        ("1\n\n2\n", f"{{path}}, line 2: {NUMBER} ''"),
        ("1\n2\n-3\n", f"{{path}}, line 3: {NUMBER} '-3'"),
        ("0\n2\n3\n", f"{{path}}, line 1: {NUMBER} '0'"),
        ("1\nnan\n3\n", f"{{path}}, line 2: {NUMBER} 'nan'"),
        ("1\n2\ninf\n", f"{{path}}, line 3: {NUMBER} 'inf'"),
        ("3,2\n1\n1\n", f"{{path}}, line 1: {NUMBER} '3,2'"),
    ],
)
def test_a_bad_file_of_weights_is_named_with_the_line(text, message, tmp_path):
    path = tmp_path / "weights.txt"
    path.write_text(text)
    expected = re.escape(message.format(path=path))
    with pytest.raises(ValueError, match=f"^{expected}"):
        read_class_weights(path, 3)
