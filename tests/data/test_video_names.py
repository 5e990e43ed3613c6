"""Ids as text of one field of one line."""

import csv

import pytest

from distill.data.bad_records import name_video


@pytest.mark.parametrize(
    ("video_id", "name"),
    [
        (b"SjJ3", "SjJ3"),
        ("Zürich".encode(), "Zürich"),
        (b"a,b", r"a\x2cb"),
        (b'"a\r\nb\0', r"\x22a\x0d\x0ab\x00"),
        (b"\xff\xfe", r"\xff\xfe"),
    ],
)
def test_an_id_is_one_field_of_one_line(video_id, name):
    assert name_video(video_id) == name
    (row,) = csv.reader([f"{name_video(video_id)},1 0.5"])
    assert row == [name, "1 0.5"]
