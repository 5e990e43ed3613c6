"""Rows of a study, made in Python and read from a file."""

import pytest

from distill.study.rows import read_rows, row


def test_a_row_is_written_as_the_flags_it_stands_for():
    method = row(
        "Two stages",
        regime="mimic",
        random_offset=True,
        hidden_sizes=[8, 16],
        then={"num_epochs": 1},
        at={2: {"mixup": 0.5}},
        seeds=[0],
        baseline_row="No teacher",
    )
    assert method.text == (
        "--seeds=0 '--baseline_row=No teacher' --regime=mimic "
        "--random_offset=true --hidden_sizes=8,16; then --num_epochs=1; "
        "at 2: --mixup=0.5"
    )


def test_few_rows_may_be_highlighted(tmp_path):
    path = tmp_path / "rows.py"
    for number in (6, 7):
        path.write_text(
            "from distill.study.rows import row\n"
            f"ROWS = [row(str(n), highlight=True) for n in range({number})]\n"
        )
        if number == 6:
            assert all(method.highlight for method in read_rows(str(path)))
    with pytest.raises(ValueError, match="highlight is for at most 6 rows"):
        read_rows(str(path))


def test_rows_are_made_by_plain_python(tmp_path):
    path = tmp_path / "rows.py"
    path.write_text(
        "from distill.study.rows import row\n"
        "COMMON = {'regime': 'serial'}\n"
        "ROWS = [row(x, **COMMON, prediction_loss=x) for x in ('kl', 'mse')]\n"
    )
    assert [(r.name, dict(r.stages[0])) for r in read_rows(str(path))] == [
        (name, {"regime": "serial", "prediction_loss": name})
        for name in ("kl", "mse")
    ]
