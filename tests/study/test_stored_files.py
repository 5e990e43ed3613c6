"""Files that a study keeps: damaged ones are named."""

import pytest

from distill.study.costs import Costs
from distill.study.runner import read_json, write_json


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        (b"", "it is no JSON"),
        (b"{\xff}", "it is no UTF-8 text"),
        (b"[1]", "it is no JSON object, but a list"),
        (b"{}", "the field described is missing"),
    ],
)
def test_a_damaged_file_is_named_and_what_to_do(contents, reason, tmp_path):
    path = tmp_path / "result.json"
    path.write_bytes(contents)
    words = f"^{path} is damaged: {reason}.* Remove it: the study makes it"
    with pytest.raises(ValueError, match=words):
        read_json(path, "described")
    if contents != b"{}":
        with pytest.raises(ValueError, match=f"^{path} is damaged: {reason}"):
            Costs(path)


def test_what_is_written_is_read(tmp_path):
    write_json(tmp_path / "a.json", {"described": [1]})
    assert read_json(tmp_path / "a.json", "described") == {"described": [1]}
